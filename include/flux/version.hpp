// SPDX-License-Identifier: MIT
// flux/version.hpp - the version numbers, and the inline namespace that tags every symbol with them.
//
// FLUX_ABI carries the version and the hardening mode, so that a program which mixes two versions, or a
// checked and an unchecked translation unit, gets two sets of symbols instead of undefined behaviour.
#pragma once

#define FLUX_VERSION_MAJOR 0
#define FLUX_VERSION_MINOR 1
#define FLUX_VERSION_PATCH 0
#define FLUX_VERSION (FLUX_VERSION_MAJOR * 10000 + FLUX_VERSION_MINOR * 100 + FLUX_VERSION_PATCH)
#define FLUX_VERSION_STRING "0.1.0"

#if defined(FLUX_CHECKED) && FLUX_CHECKED
#define FLUX_ABI v0_1_checked
#else
#define FLUX_ABI v0_1
#endif
