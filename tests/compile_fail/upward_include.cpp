// A layer sees the include roots of the layers below it and no others.
// layers: base
// expect: env/env.hpp: No such file or directory
#ifdef KIMBERLITE_CONTROL
#include "base/result.hpp"
#else
#include "env/env.hpp"
#endif
