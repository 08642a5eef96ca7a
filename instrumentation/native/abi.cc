#include "abi.h"

extern "C" int exray_abi_version() { return exray::kAbiVersion; }
