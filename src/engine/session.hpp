// A session: one actor on one tenant, its parsed statements, its transaction, its AS OF.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/database.hpp"
#include "rebuilt.hpp"
#include "request.hpp"
#include "tenant.hpp"

namespace kimberlite::engine {

// What BEGIN was given, until COMMIT.
struct OpenTransaction {
  std::string reason;
  std::string correlation_text;
  Id128 correlation{};
  Id128 request_id{};
  bool is_named = false;
  Writer statements;       // so far, for the request's digest
  std::uint64_t seen = 0;  // `Tenant::seen` when it began
};

class LocalSession final : public Session {
 public:
  // `before_write`, if there is one, is called before each write is asked for.
  LocalSession(Core& core, Tenant& tenant, Principal principal,
               std::function<void()> before_write = {});
  ~LocalSession() override;
  // Its writes were carried here: none is begun after then, on the monotonic clock, or carried on.
  // `is_named`: the id is the client's, not one the replica drew that carried it.
  void serves(std::uint64_t not_after_ns, bool is_named) { carried_ = {not_after_ns, is_named}; }

  Result<Outcome> execute(std::span<const Statement> statements, const Why& why) override;
  Result<Outcome> append(std::string_view stream, std::optional<Sequence> expected,
                         std::span<const Event> events, const Why& why) override;
  Result<std::vector<StoredEvent>> read(std::string_view stream, Sequence from,
                                        std::size_t limit) override;
  Result<std::vector<RecordInfo>> records(Position from, std::size_t limit) override;
  Result<std::unique_ptr<Cursor>> query(const Statement& statement, const AsOf& as_of,
                                        const ReadLimits& limits) override;
  Result<Reply> run(const Statement& statement, const Why& why, const ReadLimits& limits) override;
  Status begin(const Why& why) override;
  Result<Outcome> commit() override;
  Status rollback() override;
  bool in_transaction() const override { return transaction_.has_value(); }
  Result<std::optional<Outcome>> outcome_under(std::string_view idempotency_key) override;
  const AsOf& as_of() const override { return as_of_; }
  Status set_as_of(const AsOf& as_of) override;
  Result<Position> head() override;
  TenantId tenant() const override { return tenant_.id(); }
  const std::string& actor_name() const override { return principal_.description.name; }
  Result<log::StoredHead> signed_head(Position at_least) override;
  Result<std::vector<log::StoredHead>> signed_heads(std::size_t limit) override;
  Result<log::StoredHead> signed_head_of_size(std::uint64_t size) override;
  Result<record::Receipt> receipt(Position position, std::optional<std::uint32_t> item) override;
  Result<record::CoseReceipt> cose_receipt(Position position,
                                           std::optional<std::uint32_t> item) override;
  Result<RecordChanges> changes(Position position) override;
  Result<record::ConsistencyProof> consistency(std::string_view older,
                                               std::string_view newer) override;
  Result<Buffer> tile(const record::TileName& name, const log::Tree& in) override;
  Result<Hash> root_at(std::uint64_t size) override;
  Result<std::vector<Hash>> consistency_path(const log::Tree& older,
                                             const log::Tree& newer) override;
  Status add_anchor(const log::Anchor& anchor) override;
  Result<std::uint64_t> witnessed(std::string_view witness) override;
  Result<std::shared_ptr<const catalog::Catalog>> catalog() override;

 private:
  struct Carried {
    std::uint64_t not_after_ns = 0;
    bool is_named = false;
  };
  // A statement and the text it points into.
  struct Parsed {
    std::string text;
    sql::Statement statement;
    std::string plain;        // of a write: the text the log keeps, without its literals
    bool reads_time = false;  // it says as of when, not by a position
  };
  using ParsedPtr = std::shared_ptr<const Parsed>;

  // The second asks first whether this replica can say anything about its schema.
  [[nodiscard]] Result<ParsedPtr> parse_text(std::string_view text);
  [[nodiscard]] Result<ParsedPtr> parse(std::string_view text);
  // All that is stamped up to then is in the projection, and nothing else will be.
  [[nodiscard]] Result<TimestampUs> settle_time();
  [[nodiscard]] Status see(Position shown);
  [[nodiscard]] Status check_present() const;
  // What was carried here is not carried on: there, who waits for it is not known.
  [[nodiscard]] bool forwards() const { return !carried_ && core_.forwards(); }
  // A write that is all here, to the primary.
  [[nodiscard]] Result<Outcome> forward(ForwardedWrite&& write, const Why& why);
  [[nodiscard]] Result<Outcome> submit(Request& request);
  [[nodiscard]] Status fill(Request& request, const Why& why, std::span<const Bytes> digest_parts);
  [[nodiscard]] Status take_reason(Request& request, const Parsed& parsed,
                                   const Statement& statement) const;
  [[nodiscard]] Result<Outcome> write(std::span<const ParsedPtr> parsed,
                                      std::span<const Statement> statements, const Why& why,
                                      const ReadLimits& limits);
  [[nodiscard]] Result<Outcome> execute(std::span<const Statement> statements, const Why& why,
                                        const ReadLimits& limits);
  [[nodiscard]] Result<Reply> within(const ParsedPtr& parsed, const Statement& statement,
                                     const ReadLimits& limits);
  // `settled`: all that is stamped up to then is known.
  [[nodiscard]] Result<std::unique_ptr<Cursor>> read_at(const ParsedPtr& parsed,
                                                        const Statement& statement,
                                                        const AsOf& as_of, const ReadLimits& limits,
                                                        std::optional<TimestampUs> settled);
  [[nodiscard]] Result<std::unique_ptr<Cursor>> read_rows(const ParsedPtr& parsed,
                                                          const Statement& statement,
                                                          const AsOf& as_of,
                                                          const ReadLimits& limits);
  [[nodiscard]] Result<std::unique_ptr<Cursor>> query_rows(const ParsedPtr& parsed,
                                                           const Statement& statement,
                                                           const AsOf& as_of,
                                                           const ReadLimits& limits);
  [[nodiscard]] Result<std::unique_ptr<Cursor>> show(const sql::Statement& statement,
                                                     const AsOf& as_of, const ReadLimits& limits);
  // VERIFY TABLE: session_verify.cpp.
  [[nodiscard]] Result<projection::Evaluated> verify_table(const Parsed& parsed,
                                                           const Statement& statement,
                                                           const AsOf& as_of,
                                                           const ReadLimits& limits,
                                                           projection::At& answered);
  [[nodiscard]] Result<projection::At> verified_position(projection::Reader& reader,
                                                         const sql::Statement& statement,
                                                         std::span<const ValueView> parameters,
                                                         const AsOf& as_of, TimestampUs now);
  [[nodiscard]] Status rebuild(Rebuilt& rebuilt, Position to, const projection::Budget& budget);
  [[nodiscard]] Result<Reply> set_as_of(const Parsed& parsed, const Statement& statement);
  [[nodiscard]] Result<Position> resolve(projection::Reader& reader,
                                         const sql::Statement& statement,
                                         std::span<const ValueView> parameters, TimestampUs now);
  [[nodiscard]] Result<Position> position_of(projection::Reader& reader, TimestampUs time);
  [[nodiscard]] projection::Budget budget(const ReadLimits& limits);

  Core& core_;
  Tenant& tenant_;
  Principal principal_;
  std::function<void()> before_write_;
  std::optional<Carried> carried_;
  AsOf as_of_;
  std::optional<OpenTransaction> transaction_;
  std::list<std::pair<std::string_view, ParsedPtr>>
      recent_;  // newest first; the key is in the Parsed
  std::unordered_map<std::string_view, decltype(recent_)::iterator> parsed_;
};

}  // namespace kimberlite::engine
