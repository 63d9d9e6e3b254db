# SPDX-License-Identifier: MIT
# Finds wolfSSL; defines wolfssl::wolfssl. For systems whose package ships no CMake configuration.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_wolfssl QUIET wolfssl)
endif()
find_path(wolfssl_INCLUDE_DIR wolfssl/ssl.h HINTS ${PC_wolfssl_INCLUDE_DIRS})
find_library(wolfssl_LIBRARY NAMES wolfssl HINTS ${PC_wolfssl_LIBRARY_DIRS})
set(wolfssl_VERSION "${PC_wolfssl_VERSION}")
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(wolfssl
  REQUIRED_VARS wolfssl_LIBRARY wolfssl_INCLUDE_DIR
  VERSION_VAR wolfssl_VERSION
  REASON_FAILURE_MESSAGE "flux::tls needs wolfSSL >= 5.5 (Debian: libwolfssl-dev) or FLUX_TLS=OFF to build without it")
if(wolfssl_FOUND AND NOT TARGET wolfssl::wolfssl)
  add_library(wolfssl::wolfssl UNKNOWN IMPORTED)
  set_target_properties(wolfssl::wolfssl PROPERTIES
    IMPORTED_LOCATION "${wolfssl_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${wolfssl_INCLUDE_DIR}")
endif()
mark_as_advanced(wolfssl_INCLUDE_DIR wolfssl_LIBRARY)
