// The picture of a life.
#include <fmt/format.h>

#include <algorithm>

#include "vopr/life.hpp"

namespace kimberlite::vopr {
namespace {

constexpr double width = 1400;
constexpr double left = 90;
constexpr double lane_height = 64;
constexpr double top = 60;
constexpr std::size_t marks_max = 20'000;  // of lanes; a picture nobody can open shows nothing

std::string_view colour_of(const LaneMark& mark) {
  if (mark.state == "down") return "#30343b";
  if (mark.state == "failed") return "#c0392b";
  if (mark.state == "view_change") return "#e6a23c";
  if (mark.state.starts_with("recovering_")) return "#8e44ad";
  if (mark.state == "syncing") return "#2e86c1";
  return mark.primary ? "#1e8449" : "#a9dfbf";
}

std::string escaped(std::string_view text) {
  std::string to;
  for (const char c : text) {
    switch (c) {
      case '<':
        to += "&lt;";
        break;
      case '>':
        to += "&gt;";
        break;
      case '&':
        to += "&amp;";
        break;
      case '"':
        to += "&quot;";
        break;
      default:
        to += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return to;
}

class Picture {
 public:
  explicit Picture(const LifeReport& report) : report_(report) {}

  std::string draw() {
    const double height = top + lane_height * (report_.machines + 1) + 50;
    to_ += fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" "
        "font-family=\"sans-serif\" "
        "font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        width + left + 20, height);
    to_ += fmt::format(
        "<text x=\"10\" y=\"20\" font-size=\"15\">seed {}, {} replicas: {} events in {:.3f} s, {} "
        "views, {} commits, {} incidents, digest {:016x}</text>\n",
        report_.seed, report_.replicas, report_.events, seconds(report_.simulated_ns),
        report_.views, report_.commits, report_.incidents_total(), report_.digest);
    if (report_.finding) {
      to_ += fmt::format(
          "<text x=\"10\" y=\"40\" font-size=\"14\" fill=\"#c0392b\">{}: {}</text>\n",
          name(report_.finding->invariant), escaped(report_.finding->text.substr(0, 180)));
    }
    for (std::uint8_t i = 0; i < report_.machines; ++i) lane(i);
    story();
    axis();
    return std::move(to_) + "</svg>\n";
  }

 private:
  static double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }
  [[nodiscard]] double x(std::uint64_t ns) const {
    const auto all = static_cast<double>(std::max<std::uint64_t>(1, report_.simulated_ns));
    return left + width * static_cast<double>(ns) / all;
  }
  static double y(std::size_t lane) { return top + lane_height * static_cast<double>(lane); }

  void lane(std::uint8_t replica) {
    std::vector<const LaneMark*> marks;
    for (const LaneMark& mark : report_.lanes) {
      if (mark.replica == replica && marks.size() < marks_max) marks.push_back(&mark);
    }
    to_ += fmt::format("<text x=\"10\" y=\"{:.0f}\">replica {}</text>\n", y(replica) + 24, replica);
    std::uint64_t shown_view = 0;
    std::uint64_t shown_commit = 0;
    for (std::size_t i = 0; i < marks.size();) {
      const LaneMark& mark = *marks[i];
      std::size_t end = i + 1;
      // One box for as long as nothing but the commit number changes.
      while (end < marks.size() && marks[end]->state == mark.state &&
             marks[end]->primary == mark.primary && marks[end]->view == mark.view) {
        ++end;
      }
      const std::uint64_t until = end < marks.size() ? marks[end]->at_ns : report_.simulated_ns;
      to_ += fmt::format(
          "<rect x=\"{:.2f}\" y=\"{:.0f}\" width=\"{:.2f}\" height=\"30\" fill=\"{}\"><title>{}{}, "
          "view {}, commit {}, from {:.3f} s</title></rect>\n",
          x(mark.at_ns), y(replica) + 4, std::max(0.3, x(until) - x(mark.at_ns)), colour_of(mark),
          escaped(mark.state), mark.primary ? ", primary" : "", mark.view,
          marks[end - 1]->committed, seconds(mark.at_ns));
      if (mark.primary && mark.view != shown_view) {
        to_ += fmt::format("<text x=\"{:.2f}\" y=\"{:.0f}\" fill=\"#ffffff\">{}</text>\n",
                           x(mark.at_ns) + 2, y(replica) + 23, mark.view);
        shown_view = mark.view;
      }
      for (; i < end; ++i) {
        if (marks[i]->committed == shown_commit) continue;
        shown_commit = marks[i]->committed;
        to_ +=
            fmt::format("<path d=\"M{:.2f} {:.0f}v6\" stroke=\"#1e8449\" stroke-width=\"0.6\"/>\n",
                        x(marks[i]->at_ns), y(replica) + 36);
      }
    }
  }

  void story() {
    to_ += fmt::format("<text x=\"10\" y=\"{:.0f}\">group</text>\n", y(report_.machines) + 24);
    for (const StoryMark& mark : report_.story) {
      if (!mark.incident && !mark.text.starts_with("FINDING")) continue;
      const std::size_t lane = mark.replica.value_or(report_.machines);
      const bool beside = mark.incident == IncidentKind::read_beside;
      to_ += fmt::format(
          "<circle cx=\"{:.2f}\" cy=\"{:.0f}\" r=\"{}\" fill=\"{}\"><title>{:.3f} s: "
          "{}</title></circle>\n",
          x(mark.at_ns), y(lane) + (beside ? 44 : 50), beside ? 2 : 4,
          mark.incident ? (beside ? "#5d6d7e" : "#d35400") : "#c0392b", seconds(mark.at_ns),
          escaped(mark.text.substr(0, 200)));
    }
  }

  void axis() {
    const double line = y(report_.machines + 1U) + 10;
    for (int i = 0; i <= 10; ++i) {
      const std::uint64_t at = report_.simulated_ns / 10 * static_cast<std::uint64_t>(i);
      to_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\">{:.1f} s</text>\n", x(at), line + 16,
                         seconds(at));
    }
    struct Key {
      std::string_view colour;
      std::string_view what;
    };
    constexpr std::array legend{Key{"#1e8449", "primary"},     Key{"#a9dfbf", "backup"},
                                Key{"#e6a23c", "view change"}, Key{"#8e44ad", "recovering head"},
                                Key{"#2e86c1", "syncing"},     Key{"#c0392b", "failed"},
                                Key{"#30343b", "down"},        Key{"#d35400", "incident"}};
    for (std::size_t i = 0; i < legend.size(); ++i) {
      const double at = left + 130 * static_cast<double>(i);
      to_ += fmt::format(
          "<rect x=\"{}\" y=\"{:.0f}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" "
          "y=\"{:.0f}\">{}</text>\n",
          at, line + 24, legend[i].colour, at + 16, line + 34, legend[i].what);
    }
  }

  const LifeReport& report_;
  std::string to_;
};

}  // namespace

std::string timeline_svg(const LifeReport& report) { return Picture(report).draw(); }

}  // namespace kimberlite::vopr
