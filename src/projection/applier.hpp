// Changes rows by key: apply, redo, and what capture asks to be put right.
//
// Every call touches exactly one row or is `integrity.projection`: anything else means that the
// database is not in the state the change was made on. Thread rule: that of the connection.
#pragma once

#include <map>

#include "capture.hpp"
#include "context.hpp"

namespace kimberlite::projection {

class Applier {
 public:
  Applier(Connection& connection, Context& context, const Capture& capture)
      : connection_(connection), context_(context), capture_(capture) {}

  [[nodiscard]] Status apply(const RowChange& change);
  // Writes `image` over the row, which holds the same values spelled otherwise.
  [[nodiscard]] Status respell(const Layout& layout, Bytes key, Bytes image);
  // Takes back the version a row was given for an update that left it as it was.
  [[nodiscard]] Status restore(const Layout& layout, Bytes key, std::uint64_t from);
  [[nodiscard]] Status raise_identity(const Layout& layout, std::int64_t value);
  // The schema has changed, or the connection is about to be closed.
  void forget() { statements_.clear(), raise_ = Prepared{}; }

 private:
  struct Statements {
    Prepared insert, update, remove, respell, restore, forget_version;
  };
  [[nodiscard]] Status one_row(const Layout& layout, Prepared& statement);
  template <class Text>
  [[nodiscard]] Status prepare(Prepared& statement, Text&& text);
  [[nodiscard]] Status read(Bytes list, std::vector<ValueView>& into);

  Connection& connection_;
  Context& context_;
  const Capture& capture_;
  std::map<ObjectId, Statements> statements_;
  Prepared raise_;
  std::vector<ValueView> key_;
  std::vector<ValueView> image_;
};

}  // namespace kimberlite::projection
