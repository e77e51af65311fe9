#include "base/probe.hpp"

namespace kimberlite::base {

// Filled before main, by the initialisers of the probes.
struct ProbeList {
  std::atomic<Probe*> first = nullptr;

  void add(Probe& probe) {
    probe.next_ = first.load(std::memory_order_relaxed);
    while (!first.compare_exchange_weak(probe.next_, &probe)) {
    }
  }
  void count(std::vector<ProbeCount>& into) const {
    for (const Probe* probe = first.load(); probe != nullptr; probe = probe->next_) {
      into.push_back({probe->name_, probe->hits_.load(std::memory_order_relaxed)});
    }
  }
};

namespace {

constinit ProbeList list;

}  // namespace

Probe::Probe(std::string_view name) noexcept : name_(name) { list.add(*this); }

std::vector<ProbeCount> probe_counts() {
  std::vector<ProbeCount> counts;
  list.count(counts);
  std::ranges::sort(counts, {}, &ProbeCount::name);
  return counts;
}

}  // namespace kimberlite::base
