#include "head_list.hpp"

#include <algorithm>

namespace kimberlite::engine {

Result<HeadList> HeadList::open(env::Storage& storage, log::LogName name) {
  KIMBERLITE_TRY(log::HeadFile file, log::HeadFile::open(storage, name));
  HeadList list{std::move(file)};
  KIMBERLITE_TRY(
      const log::AnchorFile anchors,
      log::AnchorFile::open(storage, name, [&](const log::Anchor& anchor) { list.take(anchor); }));
  static_cast<void>(anchors);
  return list;
}

void HeadList::take(const log::Anchor& anchor) {
  Elsewhere& elsewhere = anchored_[{anchor.log_id, anchor.tree.size}];
  ++elsewhere.anchors;
  elsewhere.last = std::max(elsewhere.last, anchor.time());
  if (anchor.kind != log::AnchorKind::witness) return;
  // Behind the witness's key stands its line of the note (log/anchor_file.hpp).
  const std::string_view evidence{reinterpret_cast<const char*>(anchor.evidence.data()),
                                  anchor.evidence.size()};
  elsewhere.witnesses[anchor.target] = evidence.substr(evidence.find('\n') + 1);
}

Result<projection::LogHead> HeadList::read(std::uint64_t index) {
  KIMBERLITE_TRY(const log::StoredHead stored, file_.read(index));
  const std::string note = stored.note();
  projection::LogHead head{.size = stored.tree.size,
                           .root = stored.tree.root,
                           .signed_at = stored.signed_at,
                           .signatures = note.substr(note.find("\n\n") + 2)};
  const auto found = anchored_.find({stored.log_id, stored.tree.size});
  if (found == anchored_.end()) return head;
  const Elsewhere& elsewhere = found->second;
  for (const auto& [name, line] : elsewhere.witnesses) {
    head.signatures += line;
    if (!line.ends_with('\n')) head.signatures += '\n';
  }
  head.witnesses = elsewhere.witnesses.size();
  head.anchors = elsewhere.anchors;
  head.last_anchor = elsewhere.last;
  return head;
}

}  // namespace kimberlite::engine
