// Errors as values: a stable code, and what, where, why and what to do next (layout: the manual's
// page "errors").
//
// The high byte of a code is its class; a number, once released, never changes its meaning. No text
// of an error may hold a stored value.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace kimberlite::base {

enum class ErrorClass : std::uint8_t {
  sql = 1,
  type = 2,
  constraint = 3,
  not_found = 4,
  erased = 5,
  usage = 6,
  integrity = 7,
  unavailable = 8,
  limit = 9,
  timeout = 10,
  auth = 11,
  denied = 12,
  conflict = 13,
  policy = 14,
  report = 15,
  interrupted = 16,
  internal = 17,
};

enum class Code : std::uint16_t {
  sql_syntax = 0x0101,       // does not parse; `where` has the position
  sql_unsupported = 0x0102,  // a feature named in the text is not in the dialect
  sql_ambiguous = 0x0103,    // a name that means two things here
  sql_misuse = 0x0104,       // parses, but may not stand here (aggregate, parameter count, ...)
  sql_text = 0x0105,         // NUL byte, invalid UTF-8, unclosed comment or quote
  sql_transaction = 0x0106,  // COMMIT without BEGIN, DDL inside a transaction, ...
  sql_read_only = 0x0107,    // a write where only reads are possible (AS OF session, system table)
  type_mismatch = 0x0201,    // a value of another type
  type_range = 0x0202,       // a value outside the type's range
  type_format = 0x0203,      // text that is no spelling of the type
  type_encoding = 0x0204,    // NUL byte or invalid UTF-8 in a value
  constraint_unique = 0x0301,
  constraint_not_null = 0x0302,
  constraint_check = 0x0303,
  constraint_foreign_key = 0x0304,
  constraint_primary_key = 0x0305,
  constraint_exists =
      0x0306,  // a table, view, column, stream, tenant of this name is already there
  constraint_dependency = 0x0307,  // others refer to what is to be dropped or changed
  not_found_table = 0x0401,
  not_found_column = 0x0402,
  not_found_function = 0x0403,
  not_found_position = 0x0404,  // beyond the head
  not_found_time = 0x0405,      // after now
  not_found_then = 0x0406,      // the table did not exist at that position
  not_found_tenant = 0x0407,
  not_found_stream = 0x0408,
  not_found_row = 0x0409,
  not_found_file = 0x040A,
  not_found_directory = 0x040B,
  not_found_object = 0x040C,  // index, view, savepoint, key, ...
  not_found_parameter = 0x040D,
  erased_item = 0x0501,
  usage_option = 0x0601,
  usage_command = 0x0602,
  usage_config = 0x0603,
  usage_target = 0x0604,
  usage_csv = 0x0605,  // ragged line, wrong quoting, a column more
  usage_json = 0x0606,
  usage_not_empty = 0x0607,  // init into a directory that holds something
  usage_not_ours = 0x0608,   // not a Kimberlite directory or file
  usage_api = 0x0609,        // the C++ API called out of order
  usage_key = 0x060A,        // a line that is no public key of a log or witness
  integrity_superblock = 0x0701,
  integrity_journal = 0x0702,
  integrity_journal_lost = 0x0703,  // an acknowledged prepare is not in the journal
  integrity_segment = 0x0704,
  integrity_frame = 0x0705,
  integrity_entry = 0x0706,
  integrity_body = 0x0707,
  integrity_chain = 0x0708,
  integrity_tree = 0x0709,
  integrity_frontier = 0x070A,
  integrity_snapshot = 0x070B,
  integrity_keystore = 0x070C,
  integrity_seal = 0x070D,  // an authenticated ciphertext does not open
  integrity_tile = 0x070E,
  integrity_offsets = 0x070F,
  integrity_projection = 0x0710,
  integrity_missing_file = 0x0711,
  integrity_foreign_file = 0x0712,  // a file of another log, tenant or cluster
  integrity_state = 0x0713,         // state or heads digest differ
  integrity_command = 0x0714,       // a committed command that does not decode
  integrity_item = 0x0715,
  integrity_rollback = 0x0716,
  integrity_encoding = 0x0717,   // bytes that are not the canonical form
  integrity_note = 0x0718,       // a signed note that is none
  integrity_signature = 0x0719,  // not signed by the pinned key
  integrity_head = 0x071A,       // a signed text that is no tree head
  integrity_receipt = 0x071B,
  integrity_inclusion = 0x071C,    // the path does not lead from the record to the signed root
  integrity_consistency = 0x071D,  // one tree is not the beginning of the other
  integrity_split_view = 0x071E,   // a log shows another past than the one this client remembers
  integrity_new_epoch = 0x071F,    // another log in the place of a remembered one
  integrity_backup = 0x0720,       // a backup's text, or another history's backup
  integrity_anchor = 0x0721,       // an anchor, or the answer it was to be made of, is not right
  integrity_export = 0x0722,       // a package of exported rows that is not what its log says
  unavailable_in_use = 0x0801,     // another process holds the directory
  unavailable_disk_low = 0x0802,
  unavailable_disk_full = 0x0803,
  unavailable_io = 0x0804,
  unavailable_outcome_unknown = 0x0805,
  unavailable_key = 0x0806,  // master key not found
  unavailable_wrong_key = 0x0807,
  unavailable_read_only = 0x0808,
  unavailable_version = 0x0809,  // a newer format
  unavailable_closed = 0x080A,
  unavailable_lease = 0x080B,  // an open transaction lost its lease
  unavailable_busy = 0x080C,
  unavailable_permission = 0x080D,
  unavailable_escrow = 0x080E,       // keys that are not those of the backup, or older
  unavailable_network = 0x080F,      // no connection to another machine, or one that broke
  unavailable_service = 0x0810,      // a service elsewhere refused, or answered what it should not
  unavailable_not_primary = 0x0811,  // another replica of the group takes writes now
  unavailable_quorum = 0x0812,       // too few replicas answer
  unavailable_clock = 0x0813,        // this machine's clock cannot be trusted with a record's time
  unavailable_membership = 0x0814,   // the group cannot be changed so now
  limit_request = 0x0901,
  limit_row = 0x0902,
  limit_event = 0x0903,
  limit_statement = 0x0904,
  limit_columns = 0x0905,
  limit_rows = 0x0906,
  limit_memory = 0x0907,
  limit_quota = 0x0908,
  limit_depth = 0x0909,
  limit_command = 0x090A,
  limit_name = 0x090B,
  limit_reply = 0x090C,
  timeout_statement = 0x0A01,
  timeout_network = 0x0A02,
  auth_required = 0x0B01,
  denied_object = 0x0C01,
  denied_function = 0x0C02,
  conflict_position = 0x0D01,
  conflict_sequence = 0x0D02,
  conflict_idempotency = 0x0D03,
  conflict_expired = 0x0D04,
  policy_reason = 0x0E01,
  policy_hold = 0x0E02,
  policy_sealed = 0x0E03,
  policy_region = 0x0E04,
  report_failed = 0x0F01,
  interrupted_signal = 0x1001,
  internal_bug = 0x1101,
};

// "integrity.frontier"; stable, like the number.
[[nodiscard]] std::string_view name(Code code);
[[nodiscard]] std::string_view name(ErrorClass error_class);

[[nodiscard]] constexpr ErrorClass class_of(Code code) {
  return static_cast<ErrorClass>(static_cast<std::uint16_t>(code) >> 8U);
}

// The process exit status of an error class (the manual's page "exit codes").
[[nodiscard]] int exit_status(ErrorClass error_class);

class [[nodiscard]] Error {
 public:
  template <class... Args>
  explicit Error(Code code, fmt::format_string<Args...> what, Args&&... args)
      : code_(code), what_(fmt::format(what, std::forward<Args>(args)...)) {}

  // Which statement, line, file, byte, position.
  template <class... Args>
  Error&& where(fmt::format_string<Args...> text, Args&&... args) && {
    where_ = fmt::format(text, std::forward<Args>(args)...);
    return std::move(*this);
  }
  template <class... Args>
  Error&& why(fmt::format_string<Args...> text, Args&&... args) && {
    why_ = fmt::format(text, std::forward<Args>(args)...);
    return std::move(*this);
  }
  // What the reader can type or do.
  template <class... Args>
  Error&& next(fmt::format_string<Args...> text, Args&&... args) && {
    next_ = fmt::format(text, std::forward<Args>(args)...);
    return std::move(*this);
  }

  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] const std::string& why() const { return why_; }
  [[nodiscard]] const std::string& next() const { return next_; }

 private:
  Code code_;
  std::string what_;
  std::string where_;
  std::string why_;
  std::string next_;
};

// One line for logs and test failures: "integrity.frame: … (where; why)".
[[nodiscard]] std::string to_string(const Error& error);

}  // namespace kimberlite::base

namespace kimberlite {
using namespace base;
}
