// Version of everything that this library exports.
#pragma once

#include "summary.h"

namespace exray {

// Raised with every change of an exported function or structure, here and in
// native_library.py.
constexpr int kAbiVersion = 4;

}  // namespace exray

extern "C" EXRAY_EXPORT int exray_abi_version();
