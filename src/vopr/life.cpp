#include "vopr/life.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/assert.hpp"
#include "engine/verify.hpp"
#include "life_model.hpp"
#include "nonces.hpp"
#include "record/receipt.hpp"
#include "trouble.hpp"

namespace kimberlite::vopr {
namespace {

using engine::Outcome;
using engine::Session;
using engine::Statement;

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::uint64_t patience_ns = 6 * second;  // of a client, for one round of asking
constexpr int rounds_max = 6;
constexpr std::uint64_t convergence_ns = 60 * second;
// A clock that is believed is within two tolerances and a round trip of one that is right.
constexpr std::int64_t stamp_off_max_us = 5'000'000;

// What was there right after a write.
struct Then {
  Position position;
  TimestampUs timestamp;
  std::map<std::string, std::string> texts;  // by table
};

struct Tenant {
  TenantModel now;
  std::optional<Write> under_way;  // its effect may be seen, or not yet;
  bool seen = false;               // and was, so that it must be from then on
  Position last;
  std::vector<Then> past;
};

struct Done {
  Write write;
  Outcome outcome;
};

std::map<std::string, std::string> texts_of(const TenantModel& model) {
  std::map<std::string, std::string> all;
  for (const auto& [name, table] : model.tables) all[name] = model.text(name);
  return all;
}

// What a replica says that cannot do it now, and another may.
bool is_passing(const Error& error) { return class_of(error.code()) == ErrorClass::unavailable; }

class Lived {
 public:
  Lived(const Plan& plan, LifeReport& report, const std::function<bool()>& go_on)
      : plan_(plan), go_on_(go_on), report_(report) {
    report_.seed = plan.seed;
    report_.replicas = plan.group.voters;
    report_.machines = static_cast<std::uint8_t>(plan.group.voters + plan.group.standbys);
  }

  void live() {
    auto made = Group::make(plan_.seed, plan_.group);
    KIMBERLITE_ASSERT(made);  // nothing has happened to it yet
    group_ = *std::move(made);
    trouble_.emplace(*group_, plan_, report_, [this](std::uint8_t replica, std::uint64_t choice) {
      read_beside(replica, choice);
    });
    begin();
    group_->world().between([this] { trouble_->look(); });
    for (std::size_t i = 0; i < plan_.steps.size() && going(); ++i) {
      trouble_->begin_step(plan_.step_numbers[i]);
      step(plan_.steps[i]);
      count();
    }
    if (!report_.finding) trouble_->make_peace();
    if (plan_.beyond) {
      look_back_beyond();
    } else {
      go_on("of a majority");
      trouble_->end_absence();
      agree();
      look_back();
      close_and_verify();
    }
    end();
  }

 private:
  [[nodiscard]] bool going() const {
    return !report_.finding && !report_.refused && (!go_on_ || go_on_());
  }
  void fail(Invariant invariant, const std::string& text) { trouble_->fail(invariant, text); }
  [[nodiscard]] std::uint64_t now() { return group_->world().clock().now_ns(); }
  // The time, which a majority's clocks say whatever happens (trouble.cpp).
  [[nodiscard]] std::int64_t right_us() { return group_->world().clock().realtime_us(); }

  void begin() {
    for (std::uint8_t i = 0; i < tenants_in_a_life; ++i) {
      Tenant& tenant = tenants_.emplace_back();
      tenant.now.number = i;
      tenant.now.tables["t"] = {.columns = {"v", "m"}, .defaults = {"", ""}, .rows = {}};
      if (const Status made = group_->create_tenant(tenant_name(i), 20 * second); !made) {
        return fail(Invariant::progress, to_string(made.error()));
      }
      Write create{.tenant = i, .request = requests_++};
      create.statements = {"CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT, m TEXT)"};
      create.after = tenant.now;
      write(std::move(create));
    }
  }

  // ---- asking ---------------------------------------------------------------------------------

  // Until it is answered; while the group cannot, nobody may say that it did.
  Result<Outcome> ask(const std::function<Result<Outcome>()>& once) {
    Result<Outcome> answer = Error{Code::unavailable_quorum, "nobody was asked"};
    for (int round = 0; round < rounds_max && !report_.finding; ++round) {
      answer = once();
      if (answer || !is_passing(answer.error())) return answer;
      trouble_->note(fmt::format("a client was not served: {}", name(answer.error().code())));
      if (round > 0) trouble_->calm();
    }
    if (report_.finding) return answer;
    if (plan_.beyond) {
      report_.refused = true;
      trouble_->note("the group refuses to go on");
    } else {
      fail(Invariant::progress, "not served in peace: " + to_string(answer.error()));
    }
    return answer;
  }

  Result<Outcome> ask_tenant(std::uint8_t tenant, const Ask& what) {
    return ask([&] { return group_->perform(tenant_name(tenant), what, patience_ns); });
  }

  Result<Outcome> transaction(Session& session, const Write& write) {
    if (session.in_transaction()) KIMBERLITE_CHECK(session.rollback());
    const std::string key = request_key(write.request);
    KIMBERLITE_TRY(const std::optional<Outcome> before, session.outcome_under(key));
    if (before) return *before;
    KIMBERLITE_CHECK(session.begin({.idempotency_key = key}));
    for (const std::string& sql : write.statements) {
      // Some clients take their time, and the group may have another primary when they go on.
      if (write.request % 4 == 0) group_->world().run_for(write.request % 11 * 250 * ms);
      const auto reply = session.run({.sql = sql, .parameters = {}}, {}, {});
      if (reply) continue;
      if (session.in_transaction()) static_cast<void>(session.rollback().has_value());
      return reply.error();
    }
    return session.commit();
  }

  Result<Outcome> perform(Session& session, const Write& write) {
    if (write.transaction) return transaction(session, write);
    if (session.in_transaction()) KIMBERLITE_CHECK(session.rollback());
    const engine::Why why{.request_id = request_id(write.request)};
    if (!write.stream.empty()) {
      std::vector<engine::Event> events;
      events.reserve(write.events.size());
      for (const std::string& text : write.events) events.push_back({"Noted", bytes_of(text)});
      std::optional<Sequence> expected;
      if (write.expected) expected = Sequence{*write.expected};
      return session.append(write.stream, expected, events, why);
    }
    std::vector<Statement> statements;
    statements.reserve(write.statements.size());
    for (const std::string& sql : write.statements) {
      statements.push_back({.sql = sql, .parameters = {}});
    }
    return session.execute(statements, why);
  }

  Result<Outcome> ask_write(const Write& write) {
    if (write.rotates_key) {
      return ask([&] {
        return group_->rotate_data_key(tenant_name(write.tenant), request_id(write.request),
                                       patience_ns);
      });
    }
    return ask_tenant(write.tenant, [&](Session& session) { return perform(session, write); });
  }

  // ---- the steps ------------------------------------------------------------------------------

  void step(const Step& step) {
    Tenant& tenant = tenants_[step.tenant];
    Prng choices{step.choice, 31};
    switch (step.kind) {
      case StepKind::duplicate:
        return ask_again(choices);
      case StepKind::read:
        return read_all(step.tenant);
      case StepKind::read_past:
        if (!tenant.past.empty()) {
          read_past(step.tenant, tenant.past[choices.below(tenant.past.size())], choices.coin());
        }
        return;
      case StepKind::read_stream:
        return read_streams(step.tenant);
      case StepKind::sign:
        return sign(step.tenant);
      case StepKind::verify_table:
        return verify_table(step.tenant, "t");
      case StepKind::idle:
        group_->world().run_for(choices.below(900) * ms);
        return;
      case StepKind::change_group:
        return change_group(choices);
      default:
        if (auto next = write_of(step, tenant.now, requests_++)) write(*std::move(next));
    }
  }

  void write(Write next) {
    Tenant& tenant = tenants_[next.tenant];
    if (!next.refused) tenant.under_way = next;
    const std::int64_t asked_us = right_us();
    const Result<Outcome> answer = ask_write(next);
    if (report_.finding || report_.refused) return;
    tenant.under_way.reset();
    tenant.seen = false;
    const std::string what =
        next.statements.empty() ? next.stream : fmt::format("{}", next.statements.front());
    if (next.refused) {
      if (answer || class_of(answer.error().code()) != *next.refused) {
        fail(Invariant::refusal_right,
             fmt::format("{} ought to be refused: {}", what,
                         answer ? "it was done" : to_string(answer.error())));
      }
      return;
    }
    if (!answer) {
      return fail(Invariant::refusal_right, what + ": " + to_string(answer.error()));
    }
    trouble_->note(fmt::format("tenant t{}, position {}: {}", next.tenant, answer->position.value(),
                               what.substr(0, 60)));
    ++report_.acknowledged;
    tenant.now = next.after;
    // One that changes nothing has a record too: it came under an id.
    if (answer->position <= tenant.last) {
      return fail(Invariant::exactly_once,
                  fmt::format("{} is answered at position {}, behind {}", what,
                              answer->position.value(), tenant.last.value()));
    }
    const auto stamp_us = static_cast<std::int64_t>(answer->timestamp.value());
    if (stamp_us < asked_us - stamp_off_max_us || stamp_us > right_us() + stamp_off_max_us) {
      return fail(Invariant::stamp_true,
                  fmt::format("{} was asked for at {} us, done at {} us, and is stamped {} us",
                              what, asked_us, right_us(), stamp_us));
    }
    tenant.last = answer->position;
    tenant.past.push_back({answer->position, answer->timestamp, texts_of(tenant.now)});
    next.after = {};
    done_.push_back({std::move(next), *answer});
  }

  void ask_again(Prng& choices) {
    if (done_.empty()) return;
    const std::size_t back = choices.below(std::min<std::size_t>(done_.size(), 12));
    ask_again(done_[done_.size() - 1 - back]);
  }

  void ask_again(const Done& done) {
    const Result<Outcome> again = ask_write(done.write);
    if (report_.finding || report_.refused) return;
    if (!again) {
      return fail(Invariant::duplicate_alike,
                  fmt::format("request {}: {}", done.write.request, to_string(again.error())));
    }
    ++report_.compared;
    if (again->position != done.outcome.position || again->timestamp != done.outcome.timestamp ||
        again->rows != done.outcome.rows || again->leaf != done.outcome.leaf) {
      fail(Invariant::duplicate_alike,
           fmt::format("request {} was answered position {}, {} rows; asked again {}, {} rows",
                       done.write.request, done.outcome.position.value(), done.outcome.rows,
                       again->position.value(), again->rows));
    }
  }

  // ---- who votes ------------------------------------------------------------------------------

  // Three voters stay.
  static engine::MemberChange any_change(const engine::Membership& group, Prng& choices) {
    std::vector<std::uint8_t> voters;
    std::vector<std::uint8_t> standbys;
    for (const engine::Member& one : group.members) {
      (one.votes ? voters : standbys).push_back(one.index);
    }
    if (voters.size() <= 3 || (!standbys.empty() && choices.coin())) {
      return engine::Promote{standbys[choices.below(standbys.size())]};
    }
    return engine::Demote{voters[choices.below(voters.size())]};
  }

  // It may be that it cannot be now; what is done is done.
  void change_group(Prng& choices) {
    if (!group_->wait_for_primary(patience_ns)) return;
    const auto primary = group_->primary();
    if (!primary) return;
    const auto before = group_->status(*primary);
    if (!before) return;
    const engine::MemberChange change = any_change(before->group, choices);
    const auto index = std::visit([](const auto& what) { return what.index; }, change);
    const bool votes = std::holds_alternative<engine::Promote>(change);
    const std::string what =
        fmt::format("replica {} is {}to vote", index, votes ? "" : "no longer ");
    const Status done = group_->change_at(*primary, change);
    if (report_.finding) return;
    trouble_->note(
        fmt::format("{}: {}", what, done ? "done" : std::string{name(done.error().code())}));
    if (!done) {
      // The group may have been changed by what was asked before.
      if (is_passing(done.error())) return;
      const auto now = group_->status(*primary);
      if (!now || now->group != before->group) return;
      return fail(Invariant::refusal_right, what + ": " + to_string(done.error()));
    }
    ++report_.changes;
    changed_ = group_->membership();
    const auto member = std::ranges::find(changed_->members, index, &engine::Member::index);
    if (member == changed_->members.end() || member->votes != votes) {
      fail(Invariant::acknowledged_kept, what + ", was told that it is done, and it is not");
    }
  }

  // All know the same group, and no older one than was acknowledged.
  void compare_groups() {
    std::optional<engine::Membership> first;
    for (std::uint8_t i = 0; i < group_->size() && !report_.finding; ++i) {
      const auto status = group_->status(i);
      if (!status) continue;
      if (!first) first = status->group;
      if (status->group != *first) {
        fail(Invariant::convergence, fmt::format("replica {} knows another group", i));
      }
    }
    if (!first || !changed_ || report_.finding) return;
    ++report_.compared;
    if (first->epoch < changed_->epoch ||
        (first->epoch == changed_->epoch && *first != *changed_)) {
      fail(Invariant::acknowledged_kept,
           fmt::format("the group is of epoch {}, and another one of epoch {} was acknowledged",
                       first->epoch, changed_->epoch));
    }
  }

  // ---- reading --------------------------------------------------------------------------------

  static Result<std::string> rows(Session& session, const std::string& sql,
                                  const engine::AsOf& as_of) {
    KIMBERLITE_TRY(const auto cursor, session.query({.sql = sql, .parameters = {}}, as_of, {}));
    std::string text;
    while (true) {
      KIMBERLITE_TRY(const bool found, cursor->next());
      if (!found) return text;
      append_row(text, cursor->row());
    }
  }

  static std::string select(const std::string& table) {
    return fmt::format("SELECT * FROM {} ORDER BY id", table);
  }

  // True if what was read may stand in an answer of that tenant.
  bool apart(std::uint8_t tenant, const std::string& text) {
    for (std::uint8_t other = 0; other < tenants_in_a_life; ++other) {
      if (other == tenant || text.find(marker(other)) == std::string::npos) continue;
      fail(Invariant::tenants_apart,
           fmt::format("an answer of t{} holds a value of t{}", tenant, other));
      return false;
    }
    return true;
  }

  // What a table was read as just now.
  void check_present(std::uint8_t number, const std::string& table, const std::string& text) {
    Tenant& tenant = tenants_[number];
    ++report_.compared;
    if (!apart(number, text)) return;
    const bool as_before = text == tenant.now.text(table);
    const bool as_after = tenant.under_way && text == tenant.under_way->after.text(table);
    if (as_after && !as_before) tenant.seen = true;
    if (as_after || (as_before && !tenant.seen)) return;
    const bool older = std::ranges::any_of(tenant.past, [&](const Then& then) {
      const auto found = then.texts.find(table);
      return found != then.texts.end() && found->second == text;
    });
    fail(older ? Invariant::read_fresh : Invariant::acknowledged_kept,
         fmt::format("table {} of t{} reads\n{}and is\n{}", table, number, text,
                     tenant.now.text(table)));
  }

  Result<Outcome> read(std::uint8_t number, const std::string& sql, const engine::AsOf& as_of,
                       std::string& text) {
    return ask_tenant(number, [&](Session& session) -> Result<Outcome> {
      KIMBERLITE_TRY(text, rows(session, sql, as_of));
      return Outcome{};
    });
  }

  void read_all(std::uint8_t number) {
    for (const auto& [table, model] : tenants_[number].now.tables) {
      std::string text;
      const auto answer = read(number, select(table), {}, text);
      if (report_.finding || report_.refused) return;
      if (!answer) {
        return fail(Invariant::refusal_right, "a read: " + to_string(answer.error()));
      }
      check_present(number, table, text);
      if (report_.finding) return;
    }
  }

  // In the middle of another client's call, at a replica that may not know yet.
  void read_beside(std::uint8_t replica, std::uint64_t choice) {
    const auto number = static_cast<std::uint8_t>(choice % tenants_in_a_life);
    std::string text;
    const auto answer = group_->perform_beside(
        replica, tenant_name(number), [&](Session& session) -> Result<Outcome> {
          KIMBERLITE_TRY(text, rows(session, select("t"), {}));
          return Outcome{};
        });
    if (answer) return check_present(number, "t", text);
    const Code code = answer.error().code();
    // A replica that is behind may not know of the tenant yet.
    if (is_passing(answer.error()) || code == Code::not_found_tenant || plan_.beyond) return;
    fail(Invariant::refusal_right, "a read beside: " + to_string(answer.error()));
  }

  void read_past(std::uint8_t number, const Then& then, bool by_time) {
    const engine::AsOf as_of = by_time ? engine::AsOf{then.timestamp} : engine::AsOf{then.position};
    for (const auto& [table, was] : then.texts) {
      std::string text;
      const auto answer = read(number, select(table), as_of, text);
      if (report_.finding || report_.refused) return;
      if (!answer) {
        return fail(Invariant::refusal_right,
                    fmt::format("t{} as of {} {}: {}", number, by_time ? "time" : "position",
                                then.position.value(), to_string(answer.error())));
      }
      ++report_.compared;
      if (!apart(number, text)) return;
      if (text != was) {
        return fail(Invariant::as_of_stable,
                    fmt::format("table {} of t{} as of {} {} reads\n{}and was\n{}", table, number,
                                by_time ? "the time of position" : "position",
                                then.position.value(), text, was));
      }
    }
  }

  void read_streams(std::uint8_t number) {
    for (const auto& [stream, events] : tenants_[number].now.streams) {
      std::string text;
      std::uint64_t next = 0;
      const auto answer = ask_tenant(number, [&](Session& session) -> Result<Outcome> {
        text.clear();
        next = 0;
        KIMBERLITE_TRY(const auto stored, session.read(stream, Sequence{0}, 100'000));
        for (const engine::StoredEvent& event : stored) {
          text += event.sequence.value() == next ? "" : "(hole)";
          next = event.sequence.value() + 1;
          text += text_of(event.payload);
          text += '\n';
        }
        return Outcome{};
      });
      if (report_.finding || report_.refused) return;
      if (!answer) return fail(Invariant::refusal_right, to_string(answer.error()));
      std::string expected;
      for (const std::string& event : events) expected += event + "\n";
      ++report_.compared;
      if (!apart(number, text)) return;
      if (text != expected) {
        return fail(
            Invariant::acknowledged_kept,
            fmt::format("stream {} of t{} reads\n{}and is\n{}", stream, number, text, expected));
      }
    }
  }

  void sign(std::uint8_t number) {
    const Position last = tenants_[number].last;
    const auto answer = ask_tenant(number, [&](Session& session) -> Result<Outcome> {
      KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(last));
      KIMBERLITE_TRY(const record::Receipt receipt, session.receipt(last, std::nullopt));
      KIMBERLITE_TRY(const record::VerifiedRecord checked,
                     record::verify(receipt, head.verifier_key()));
      static_cast<void>(checked);
      Outcome outcome;
      outcome.position = Position{head.tree.size};
      return outcome;
    });
    if (report_.finding || report_.refused) return;
    if (!answer) {
      const bool is_behind = answer.error().code() == Code::not_found_position;
      return fail(is_behind ? Invariant::read_fresh : Invariant::disk_verifies,
                  "a receipt: " + to_string(answer.error()));
    }
    ++report_.compared;
    if (answer->position < last) {
      fail(Invariant::acknowledged_kept,
           fmt::format("the signed head of t{} has {} records, and {} were acknowledged", number,
                       answer->position.value(), last.value()));
    }
  }

  void verify_table(std::uint8_t number, const std::string& table) {
    std::string text;
    const auto answer = read(number, "VERIFY TABLE " + table, {}, text);
    if (report_.finding || report_.refused) return;
    if (!answer) {
      return fail(Invariant::replay_equal,
                  fmt::format("table {} of t{}: {}", table, number, to_string(answer.error())));
    }
    ++report_.compared;
  }

  // ---- peace ----------------------------------------------------------------------------------

  // A replica that stops by itself is started again meanwhile.
  bool converges() {
    const std::uint64_t end = now() + convergence_ns;
    while (now() < end && !report_.finding) {
      if (group_->converge(end - now())) return true;
      group_->world().run_for(50 * ms);
    }
    return false;
  }

  void agree() {
    if (report_.finding) return;
    if (!converges()) return differ("no agreement in peace");
    // It also goes on: and what is written now lets what was damaged be superfluous.
    go_on("of all");
    if (!report_.finding && !converges()) return differ("no agreement after the last writes");
    compare();
    if (!report_.finding) compare_groups();
  }

  // A write a tenant is acknowledged, in the peace of some or all.
  void go_on(std::string_view peace) {
    for (std::uint8_t i = 0; i < tenants_in_a_life && !report_.finding; ++i) {
      const Step last{.kind = StepKind::append, .tenant = i, .choice = plan_.seed};
      Write next = *write_of(last, tenants_[i].now, requests_++);
      const std::uint64_t begun = now();
      write(std::move(next));
      if (!report_.finding && now() - begun > 30 * second) {
        fail(Invariant::progress,
             fmt::format("a write in the peace {} took {} ms", peace, (now() - begun) / ms));
      }
    }
  }

  // They did not come to the same: because they have applied the same with another result, or
  // because they have not.
  void differ(const std::string& text) {
    std::set<OpNumber> commits;
    for (std::uint8_t i = 0; i < group_->size(); ++i) {
      const auto glance = group_->glance(i);
      commits.insert(glance && glance->state == "normal" ? glance->committed : OpNumber{});
    }
    if (commits.size() == 1 && *commits.begin() != OpNumber{}) compare();
    fail(Invariant::convergence, text);
  }

  void compare() {
    for (std::uint8_t i = 0; i < tenants_in_a_life && !report_.finding; ++i) {
      for (const Difference& one : group_->compare(tenant_name(i))) {
        const Invariant which = one.what == Unlike::state   ? Invariant::state_equal
                                : one.what == Unlike::heads ? Invariant::heads_equal
                                                            : Invariant::rows_equal;
        fail(which, fmt::format("t{}: {}", i, one.text));
      }
    }
  }

  void look_back() {
    for (std::uint8_t i = 0; i < tenants_in_a_life && !report_.finding; ++i) {
      read_all(i);
      read_streams(i);
      bool by_time = false;
      for (const Then& then : tenants_[i].past) {
        if (report_.finding) return;
        read_past(i, then, by_time = !by_time);
      }
      if (!report_.finding) sign(i);
      for (const auto& [table, model] : tenants_[i].now.tables) {
        if (!report_.finding) verify_table(i, table);
      }
      if (!report_.finding) read_log(i);
    }
    for (std::size_t i = 0; i < done_.size() && !report_.finding; i += 7) ask_again(done_[i]);
  }

  // No request twice; each where its answer said.
  void read_log(std::uint8_t number) {
    std::map<Id128, std::uint64_t> times;
    std::map<std::uint64_t, Id128> at;
    const auto answer = ask_tenant(number, [&](Session& session) -> Result<Outcome> {
      times.clear();
      KIMBERLITE_TRY(const auto records, session.records(Position{1}, 1'000'000));
      for (const engine::RecordInfo& record : records) {
        if (record.request_id != Id128{}) ++times[record.request_id];
        at[record.position.value()] = record.request_id;
      }
      return Outcome{};
    });
    if (report_.finding) return;
    if (!answer) return fail(Invariant::refusal_right, "the log: " + to_string(answer.error()));
    for (const Done& done : done_) {
      if (done.write.tenant != number) continue;
      ++report_.compared;
      const Id128& id = done.outcome.request_id;
      const auto there = at.find(done.outcome.position.value());
      if (times[id] == 1 && there != at.end() && there->second == id) continue;
      return fail(Invariant::exactly_once,
                  fmt::format("request {} of t{} stands in the log {} times; position {} has {} "
                              "one",
                              done.write.request, number, times[id], done.outcome.position.value(),
                              there == at.end() ? "no" : "another"));
    }
  }

  void close_and_verify() {
    if (report_.finding) return;
    group_->world().between(nullptr);
    for (std::uint8_t i = 0; i < group_->size(); ++i) {
      if (const Status closed = group_->close(i); !closed) {
        return fail(Invariant::disk_verifies,
                    fmt::format("replica {} does not close: {}", i, to_string(closed.error())));
      }
    }
    for (std::uint8_t i = 0; i < group_->size() && !report_.finding; ++i) verify_disk(i);
  }

  void verify_disk(std::uint8_t replica) {
    const auto report = group_->verify(replica);
    if (!report) {
      return fail(Invariant::disk_verifies,
                  fmt::format("replica {}: {}", replica, to_string(report.error())));
    }
    ++report_.compared;
    const bool is_unread = !report->cancelled &&
                           report->findings.size() == report->findings_total &&
                           std::ranges::all_of(report->findings, [&](const auto& finding) {
                             return trouble_->is_unread(replica, finding);
                           });
    if (report->clean() || is_unread) return check_nonces(replica);
    const engine::VerifyFinding& first = report->findings.front();
    const bool of_rows = first.code == Code::integrity_projection;
    fail(of_rows ? Invariant::replay_equal : Invariant::disk_verifies,
         fmt::format("replica {}: {} findings, the first: {} {} in {}, byte {}", replica,
                     report->findings_total, name(first.code), first.what, first.file,
                     first.offset));
  }

  void check_nonces(std::uint8_t replica) {
    ++report_.compared;
    if (const auto twice = nonce_used_twice(group_->world().storage(replica).image())) {
      fail(Invariant::nonce_once, fmt::format("replica {}: {}", replica, *twice));
    }
  }

  // More was damaged than can be made good: whoever answers all the same must not guess.
  void look_back_beyond() {
    if (report_.finding) return;
    const bool was_refused = std::exchange(report_.refused, false);
    for (std::uint8_t i = 0; i < tenants_in_a_life && going(); ++i) {
      for (const auto& [table, model] : tenants_[i].now.tables) {
        std::string text;
        const auto answer = group_->perform(
            tenant_name(i),
            [&](Session& session) -> Result<Outcome> {
              KIMBERLITE_TRY(text, rows(session, select(table), {}));
              return Outcome{};
            },
            2 * second);
        if (answer) {
          check_present(i, table, text);
        } else if (may_refuse(answer.error())) {
          report_.refused = true;
        } else {
          fail(Invariant::acknowledged_kept, "beyond: " + to_string(answer.error()));
        }
      }
      for (const Then& then : tenants_[i].past) {
        if (!going()) break;
        read_past(i, then, false);
      }
    }
    report_.refused = report_.refused || was_refused;
  }

  static bool may_refuse(const Error& error) {
    const ErrorClass kind = class_of(error.code());
    return kind == ErrorClass::unavailable || kind == ErrorClass::integrity;
  }

  void count() {
    report_.events = group_->world().events();
    report_.simulated_ns = now();
    report_.frames_lost = group_->world().lost();
    report_.digest = group_->world().digest();
  }

  void end() {
    if (group_->busy() == std::nullopt) group_->world().between(nullptr);
    count();
    for (std::uint8_t i = 0; i < group_->size(); ++i) {
      report_.images.push_back(group_->is_up(i) ? group_->world().storage(i).image().digest()
                                                : group_->world().disk(i).digest());
    }
  }

  const Plan& plan_;
  const std::function<bool()>& go_on_;
  LifeReport& report_;
  std::unique_ptr<Group> group_;
  std::optional<Trouble> trouble_;
  std::vector<Tenant> tenants_;
  std::uint64_t requests_ = 1;
  std::vector<Done> done_;
  std::optional<engine::Membership> changed_;  // as it was acknowledged last
};

}  // namespace

LifeReport live(const Plan& plan, const std::function<bool()>& go_on) {
  LifeReport report;
  live(plan, report, go_on);
  return report;
}

void live(const Plan& plan, LifeReport& report, const std::function<bool()>& go_on) {
  Lived(plan, report, go_on).live();
}

void break_off(LifeReport& report) {
  const auto until = [&](const auto& marks) {
    if (!marks.empty()) report.simulated_ns = std::max(report.simulated_ns, marks.back().at_ns);
  };
  until(report.lanes);
  until(report.story);
  std::string text = "an assertion of the product failed; standard error names it";
  if (report.finding) {
    text +=
        fmt::format("; before it {}: {}", name(report.finding->invariant), report.finding->text);
  }
  report.finding = Finding{Invariant::assertion, std::move(text)};
}

std::string last_of_story(const LifeReport& report, std::size_t lines) {
  std::string all;
  const std::size_t first = report.story.size() - std::min(lines, report.story.size());
  for (std::size_t i = first; i < report.story.size(); ++i) {
    all += fmt::format("{:>9.3f} ms  {}\n", static_cast<double>(report.story[i].at_ns) / 1e6,
                       report.story[i].text);
  }
  return all;
}

}  // namespace kimberlite::vopr
