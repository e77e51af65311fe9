#include "projection/log_source.hpp"

namespace kimberlite::projection {
namespace {

Error no_proofs() { return Error{Code::unavailable_closed, "there are no proofs of the log here"}; }

}  // namespace

Result<std::unique_ptr<Receipts>> LogSource::receipts(Position /*at_least*/) { return no_proofs(); }
Result<std::unique_ptr<LogHeads>> LogSource::heads() { return no_proofs(); }

}  // namespace kimberlite::projection
