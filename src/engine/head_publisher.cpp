#include "head_publisher.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "request_id.hpp"

namespace kimberlite::engine {
namespace {

constexpr TenantId cluster_tenant{0};
// How far back what was published is looked for: a second each, if all of them were busy.
constexpr std::uint64_t records_read_max = 4096;

}  // namespace

Status HeadPublisher::start() {
  Prover::Committed now;
  core_.run([&](Core& core) {
    now = {core.state().tenant(cluster_tenant)->lane(kernel::Lane::data), core.epochs_begun()};
  });
  std::uint64_t newest = 0;  // position of the last that published
  const std::uint64_t end = now.lane.head.position.value();
  for (std::uint64_t back = 0; back < std::min(end, records_read_max); ++back) {
    const Position position{end - back};
    Buffer frame;
    KIMBERLITE_TRY(const log::RecordView found,
                   core_.read({cluster_tenant, kernel::Lane::data, position}, frame));
    if (found.entry.kind != std::to_underlying(kernel::Kind::publish_heads)) continue;
    newest = std::max(newest, position.value());
    KIMBERLITE_TRY(const projection::OpenedRecord record, cluster_.records().read(position));
    for (const projection::OpenedItem& item : record.items) {
      for (const Bytes control : item.plaintext.controls) {
        KIMBERLITE_TRY(const kernel::Control decoded, kernel::decode_control(control));
        const auto* heads = std::get_if<kernel::PublishHeads>(&decoded);
        if (heads == nullptr) continue;
        // The newest of each log comes first.
        for (const auto& head : heads->heads) published_.try_emplace(key_of(head), head);
      }
    }
  }
  KIMBERLITE_TRY(const auto signed_heads,
                 core_.prover().list(cluster_tenant, kernel::Lane::data, 1));
  const bool current = !signed_heads.empty() && signed_heads[0].log_id == now.lane.log_id;
  unsigned_ = newest > (current ? signed_heads[0].tree.size : 0);
  core_.run([this](Core& /*core*/) { arm(); });
  return {};
}

void HeadPublisher::stop() {
  Signal ended;
  core_.run_on_strand([&](Core& core) {
    stopped_ = true;
    waits_ = &ended;
    if (!under_way_) core.driver().set(ended);
  });
  core_.driver().wait(ended);
}

void HeadPublisher::arm() {
  core_.env().executor.post_after(every_ns_, Core::strand, life_.task([this] { tick(); }));
}

void HeadPublisher::tick() {
  if (stopped_ || core_.failed()) return;
  KIMBERLITE_ASSERT(!under_way_);
  if (!core_.leads()) return arm();
  std::vector<kernel::PublishedHead> heads = changed();
  if (heads.empty() && !unsigned_) return arm();
  under_way_ = true;
  if (heads.empty()) return sign();
  if (core_.is_group() && !principal_.settled) return settle();
  publish(std::move(heads));
}

// In order; if there are too many for one record, those behind the last one's first.
std::vector<kernel::PublishedHead> HeadPublisher::changed() {
  std::vector<kernel::PublishedHead> heads;
  const kernel::State& state = core_.state();
  for (std::uint64_t id = 0; id < state.tenant_count(); ++id) {
    for (const kernel::Lane which : {kernel::Lane::data, kernel::Lane::access}) {
      const Key key{TenantId{id}, which};
      if (key == Key{cluster_tenant, kernel::Lane::data}) continue;
      const kernel::LaneState& lane = state.tenant(key.first)->lane(which);
      const std::uint64_t size = lane.head.position.value();
      const auto known = published_.find(key);
      const bool same = known != published_.end() && known->second.log_id == lane.log_id &&
                        known->second.size == size;
      if (size > 0 && !same) heads.push_back({key.first, which, lane.log_id, size, {}});
    }
  }
  if (heads.size() > kernel::published_heads_max) {
    std::ranges::rotate(heads, std::ranges::upper_bound(heads, last_, {}, key_of));
    heads.resize(kernel::published_heads_max);
    last_ = key_of(heads.back());
    std::ranges::sort(heads, {}, key_of);
  }
  for (kernel::PublishedHead& head : heads) {
    head.root = state.tenant(head.tenant)->lane(head.lane).head.frontier.root();
  }
  return heads;
}

// Another replica's process may be the actor already.
void HeadPublisher::settle() {
  request_ = std::make_unique<Request>();
  request_->kind = RequestKind::settle;
  request_->answered = [this] { core_.run_on_strand([this](Core& /*core*/) { settled(); }); };
  cluster_.post(*request_);
}

void HeadPublisher::settled() {
  const std::unique_ptr<Request> request = std::move(request_);
  if (*request->result) {
    principal_.actor = cluster_.actor(principal_.description);
    principal_.settled = true;
  }
  done();
}

void HeadPublisher::publish(std::vector<kernel::PublishedHead> heads) {
  kernel::Control control = kernel::PublishHeads{std::move(heads)};
  const Buffer bytes = kernel::encode_control(control);
  const std::array<Bytes, 1> parts{bytes};
  const Result<Hash> digest = core_.keys().request_digest(cluster_tenant, parts);
  if (!digest) return done();  // there are no keys: the database is no use any more, and says so
  request_ = std::make_unique<Request>();
  request_->kind = RequestKind::control;
  request_->principal = &principal_;
  request_->request_id = new_request_id(core_.env().clock, core_.env().random);
  request_->digest = *digest;
  request_->control = std::move(control);
  request_->answered = [this] { core_.run_on_strand([this](Core& /*core*/) { answered(); }); };
  cluster_.post(*request_);
}

// What was refused, because an epoch began meanwhile or the disk is low, is tried again later.
void HeadPublisher::answered() {
  const std::unique_ptr<Request> request = std::move(request_);
  if (!*request->result) {
    principal_.settled = false;
    return done();
  }
  for (const auto& head : std::get<kernel::PublishHeads>(*request->control).heads) {
    published_.insert_or_assign(key_of(head), head);
  }
  unsigned_ = true;
  sign();
}

// The disk is waited for on the strand of tenant 0, which has little else to do.
void HeadPublisher::sign() {
  const Prover::Committed now{core_.state().tenant(cluster_tenant)->lane(kernel::Lane::data),
                              core_.epochs_begun()};
  core_.env().executor.post(cluster_.strand(), [this, now] {
    const bool is_signed = core_.prover().sign(cluster_tenant, kernel::Lane::data, now).has_value();
    core_.run_on_strand([this, is_signed](Core& /*core*/) {
      if (is_signed) unsigned_ = false;
      done();
    });
  });
}

void HeadPublisher::done() {
  under_way_ = false;
  if (waits_ != nullptr) return core_.driver().set(*waits_);
  arm();
}

}  // namespace kimberlite::engine
