#include "sql/system_tables.hpp"

#include <array>

#include "sql/token.hpp"

namespace kimberlite::sql {
namespace {

using catalog::Type;
using catalog::TypeKind;

constexpr Type bigint{TypeKind::bigint};
constexpr Type text{TypeKind::text};
constexpr Type timestamp{TypeKind::timestamp};
constexpr Type boolean{TypeKind::boolean};
constexpr Type json{TypeKind::json};
constexpr Type bytes{TypeKind::bytes};

constexpr std::array events = std::to_array<SystemColumn>({
    {"position", bigint, ""},
    {"change", bigint, ""},
    {"item", bigint, ""},
    {"timestamp", timestamp, ""},
    {"stream", text, ""},
    {"sequence", bigint, ""},
    {"operation", text, ""},
    {"kind", text, ""},
    {"actor", text, ""},
    {"session", text, ""},
    {"reason", text, ""},
    {"correlation_id", text, ""},
    {"request_id", text, ""},
    {"schema_version", bigint, ""},
    {"key", json, ""},
    {"old", json, ""},
    {"new", json, ""},
    {"payload", json, ""},
    {"erased", boolean, ""},
    {"hash", bytes, ""},
    {"previous_hash", bytes, ""},
});

constexpr std::array schema_history = std::to_array<SystemColumn>({
    {"position", bigint, ""},
    {"timestamp", timestamp, ""},
    {"actor", text, ""},
    {"approver", text, ""},
    {"object", text, ""},
    {"version", bigint, ""},
    {"ddl", text, ""},
    {"reason", text, ""},
});

constexpr std::array records = std::to_array<SystemColumn>({
    {"position", bigint, ""},
    {"timestamp", timestamp, R"(kmb_record_time("position"))"},
    {"kind", bigint, ""},
    {"actor", text, R"(kmb_record_actor("position"))"},
    {"request_id", text, R"(lower(hex("request_id")))"},
    {"digest", bytes, ""},
});

constexpr std::array streams = std::to_array<SystemColumn>({
    {"id", bigint, ""},
    {"name", text, ""},
    {"next_sequence", bigint, ""},
});

constexpr std::array heads = std::to_array<SystemColumn>({
    {"size", bigint, ""},
    {"root", bytes, ""},
    {"timestamp", timestamp, ""},
    {"state_digest", bytes, ""},
    {"signatures", text, ""},
    {"witnesses", bigint, ""},
    {"anchors", bigint, ""},
    {"last_anchor_age_s", bigint, ""},
});

constexpr std::array tables = std::to_array<SystemColumn>({
    {"table_catalog", text, ""},
    {"table_schema", text, ""},
    {"table_name", text, ""},
    {"table_type", text, ""},
    {"class", text, ""},
    {"subject", text, ""},
    {"retention", text, ""},
});

constexpr std::array columns = std::to_array<SystemColumn>({
    {"table_catalog", text, ""},
    {"table_schema", text, ""},
    {"table_name", text, ""},
    {"column_name", text, ""},
    {"ordinal_position", bigint, ""},
    {"column_default", text, ""},
    {"is_nullable", text, ""},
    {"data_type", text, ""},
    {"character_maximum_length", bigint, ""},
    {"numeric_precision", bigint, ""},
    {"numeric_scale", bigint, ""},
    {"is_identity", text, ""},
    {"is_generated", text, ""},
    {"class", text, ""},
    {"primary_key", bigint, ""},
});

constexpr std::array all = std::to_array<SystemTable>({
    {"__events", events, true, "position"},
    {"__schema_history", schema_history, true, "position"},
    {"__records", records, true, "position"},
    {"__streams", streams, true, ""},
    {"__heads", heads, true, "size"},
    {"__tables", tables, false, ""},
    {"__columns", columns, false, ""},
    {"information_schema.tables", tables, false, ""},
    {"information_schema.columns", columns, false, ""},
});

}  // namespace

std::span<const SystemTable> system_tables() { return all; }

const SystemTable* system_table(std::string_view name) {
  for (const SystemTable& table : all) {
    if (same_name(table.name, name)) return &table;
  }
  return nullptr;
}

}  // namespace kimberlite::sql
