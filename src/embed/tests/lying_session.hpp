// A session that answers as another one does, but for what it was told to say instead.
#pragma once

#include "engine/database.hpp"

namespace kimberlite::test {

class LyingSession final : public engine::Session {
 public:
  explicit LyingSession(engine::Session& honest) : honest_(honest) {}

  std::optional<log::StoredHead> head_given;
  std::optional<record::ConsistencyProof> proof_given;
  std::optional<Position> end_given;
  Position epoch_begins;  // records before it carry another log id

  Result<log::StoredHead> signed_head(Position at_least) override {
    if (head_given) return *head_given;
    return honest_.signed_head(at_least);
  }
  Result<record::ConsistencyProof> consistency(std::string_view older,
                                               std::string_view newer) override {
    if (proof_given) return *proof_given;
    return honest_.consistency(older, newer);
  }
  Result<Position> head() override {
    if (end_given) return *end_given;
    return honest_.head();
  }

  Result<engine::Outcome> execute(std::span<const engine::Statement> statements,
                                  const engine::Why& why) override {
    return honest_.execute(statements, why);
  }
  Result<engine::Outcome> append(std::string_view stream, std::optional<Sequence> expected,
                                 std::span<const engine::Event> events,
                                 const engine::Why& why) override {
    return honest_.append(stream, expected, events, why);
  }
  Result<std::vector<engine::StoredEvent>> read(std::string_view stream, Sequence from,
                                                std::size_t limit) override {
    return honest_.read(stream, from, limit);
  }
  Result<std::vector<engine::RecordInfo>> records(Position from, std::size_t limit) override {
    return honest_.records(from, limit);
  }
  Result<std::unique_ptr<engine::Cursor>> query(const engine::Statement& statement,
                                                const engine::AsOf& as_of,
                                                const engine::ReadLimits& limits) override {
    return honest_.query(statement, as_of, limits);
  }
  Result<engine::Reply> run(const engine::Statement& statement, const engine::Why& why,
                            const engine::ReadLimits& limits) override {
    return honest_.run(statement, why, limits);
  }
  Status begin(const engine::Why& why) override { return honest_.begin(why); }
  Result<engine::Outcome> commit() override { return honest_.commit(); }
  Status rollback() override { return honest_.rollback(); }
  bool in_transaction() const override { return honest_.in_transaction(); }
  Result<std::optional<engine::Outcome>> outcome_under(std::string_view key) override {
    return honest_.outcome_under(key);
  }
  const engine::AsOf& as_of() const override { return honest_.as_of(); }
  Status set_as_of(const engine::AsOf& as_of) override { return honest_.set_as_of(as_of); }
  TenantId tenant() const override { return honest_.tenant(); }
  const std::string& actor_name() const override { return honest_.actor_name(); }
  Result<std::vector<log::StoredHead>> signed_heads(std::size_t limit) override {
    return honest_.signed_heads(limit);
  }
  Result<log::StoredHead> signed_head_of_size(std::uint64_t size) override {
    return honest_.signed_head_of_size(size);
  }
  Result<record::Receipt> receipt(Position position, std::optional<std::uint32_t> item) override {
    KIMBERLITE_TRY(record::Receipt receipt, honest_.receipt(position, item));
    if (position >= epoch_begins) return receipt;
    KIMBERLITE_TRY(record::Entry entry, record::decode(receipt.recorded.entry));
    entry.log_id[0] ^= std::byte{1};
    receipt.recorded.entry = record::encode(entry);
    return receipt;
  }
  Result<record::CoseReceipt> cose_receipt(Position position,
                                           std::optional<std::uint32_t> item) override {
    return honest_.cose_receipt(position, item);
  }
  Result<engine::RecordChanges> changes(Position position) override {
    return honest_.changes(position);
  }
  Result<Buffer> tile(const record::TileName& name, const log::Tree& in) override {
    return honest_.tile(name, in);
  }
  Result<Hash> root_at(std::uint64_t size) override { return honest_.root_at(size); }
  Result<std::vector<Hash>> consistency_path(const log::Tree& older,
                                             const log::Tree& newer) override {
    return honest_.consistency_path(older, newer);
  }
  Status add_anchor(const log::Anchor& anchor) override { return honest_.add_anchor(anchor); }
  Result<std::uint64_t> witnessed(std::string_view witness) override {
    return honest_.witnessed(witness);
  }
  Result<std::shared_ptr<const catalog::Catalog>> catalog() override { return honest_.catalog(); }

 private:
  engine::Session& honest_;
};

}  // namespace kimberlite::test
