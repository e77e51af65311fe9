// A projection made again from the log, in memory, through the same apply as any other: what the
// one in use is held against.
//
// All that a projection keeps is in memory while this lives; with `only` it is that of one table,
// and one row a record. Thread rule: one thread; the log source outlives it.
#pragma once

#include <memory>
#include <optional>

#include "projection/projection.hpp"
#include "projection/vfs.hpp"
#include "records.hpp"
#include "side_storage.hpp"

namespace kimberlite::engine {

class Rebuilt {
 public:
  // `only`: the changes of this table alone, and no streams; of the schema always all.
  [[nodiscard]] static Result<std::unique_ptr<Rebuilt>> make(projection::LogSource& log,
                                                             std::optional<ObjectId> only);
  Rebuilt(const Rebuilt&) = delete;
  Rebuilt& operator=(const Rebuilt&) = delete;

  // The next record. After an error nothing more can be applied.
  [[nodiscard]] Status apply(const projection::OpenedRecord& record);
  // There are no more: from here on it can be read.
  [[nodiscard]] Status finish();
  [[nodiscard]] projection::Projection& projection() { return *projection_; }

 private:
  Rebuilt(projection::LogSource& log, std::optional<ObjectId> only)
      : log_(log), only_(only), files_(nullptr), env_(files_) {}

  projection::LogSource& log_;
  std::optional<ObjectId> only_;
  SideStorage files_;
  SideEnv env_;
  std::unique_ptr<projection::Vfs> vfs_;
  std::unique_ptr<projection::Projection> projection_;
  std::size_t in_transaction_ = 0;  // records
};

// Where what differs should be from: "position 4, change 0, column name".
[[nodiscard]] std::string place_of(const projection::Difference& difference);

}  // namespace kimberlite::engine
