// SQLite's authoriser as the second lock behind the one door: an allow list, for users' texts only.
//
// Attached once; it judges while a `Guarded` stands, which is around every prepare and step of a
// text that came through the door (SQLite compiles again in a step when the schema has changed).
// Thread rule: that of the connection.
#pragma once

#include "catalog/catalog.hpp"
#include "sqlite.hpp"

namespace kimberlite::projection {

class Guard {
 public:
  void attach(sqlite3* db);
  // Whose tables exist; may only be null while nothing is guarded.
  void use(const catalog::Catalog* catalog) { catalog_ = catalog; }
  void may_write(bool allowed) { may_write_ = allowed; }

 private:
  friend class Guarded;
  static int authorize(void* self, int action, const char* first, const char* second,
                       const char* database, const char* trigger);
  [[nodiscard]] bool allows(int action, std::string_view first, std::string_view second,
                            std::string_view trigger) const;
  [[nodiscard]] bool readable(std::string_view table) const;

  const catalog::Catalog* catalog_ = nullptr;
  bool active_ = false;
  bool may_write_ = false;
};

class Guarded {
 public:
  explicit Guarded(Guard& guard) : guard_(guard) { guard_.active_ = true; }
  ~Guarded() { guard_.active_ = false; }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

 private:
  Guard& guard_;
};

}  // namespace kimberlite::projection
