#include "abi.h"

int exray_otlp_abi_version() { return exray::kOtlpAbiVersion; }
