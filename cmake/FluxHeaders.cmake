# SPDX-License-Identifier: MIT
# The library itself: flux::flux, flux::testing, and flux::tls and flux::zlib where their options are on.
#
# All of them are INTERFACE targets over the same headers. With the headers of include/ the part macros that they
# define change nothing but what <flux.hpp> includes; in the single header they are the only switch.

find_package(Threads REQUIRED)
find_package(liburing 2.3 REQUIRED)

add_library(flux INTERFACE)
add_library(flux::flux ALIAS flux)
target_compile_features(flux INTERFACE cxx_std_20)
target_link_libraries(flux INTERFACE liburing::liburing Threads::Threads)
target_include_directories(flux INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

if(FLUX_SINGLE_HEADER)
  # Sources still say #include <flux/core/result.hpp>; here that is a file of one line.
  file(GLOB_RECURSE _flux_headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
       "${PROJECT_SOURCE_DIR}/include/flux/*.hpp")
  foreach(_header IN LISTS _flux_headers)
    set(_guard "")
    if(_header MATCHES "^flux/(tls|zlib|testing)(/|[.])")
      string(TOUPPER "${CMAKE_MATCH_1}" _part)
      set(_guard "#if !defined(FLUX_WITH_${_part})\n#error \"the single header needs FLUX_WITH_${_part} for this\"\n#endif\n")
    endif()
    file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/single/${_header}" @ONLY
         CONTENT "#pragma once\n${_guard}#include <flux.hpp>\n")
  endforeach()
  target_include_directories(flux INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/single_include>"
                                            "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/single>")
else()
  target_include_directories(flux INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>")
endif()

# flux_add_part(<name> [LIBS <target>...]): the target flux::<name>.
function(flux_add_part name)
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  string(TOUPPER "${name}" upper)
  add_library(flux_${name} INTERFACE)
  add_library(flux::${name} ALIAS flux_${name})
  set_target_properties(flux_${name} PROPERTIES EXPORT_NAME "${name}")
  target_link_libraries(flux_${name} INTERFACE flux ${arg_LIBS})
  target_compile_definitions(flux_${name} INTERFACE "FLUX_WITH_${upper}=1")
endfunction()

flux_add_part(testing)
if(FLUX_TLS)
  find_package(wolfssl 5.5 REQUIRED)
  flux_add_part(tls LIBS wolfssl::wolfssl)
endif()
if(FLUX_ZLIB)
  find_package(ZLIB REQUIRED)
  flux_add_part(zlib LIBS ZLIB::ZLIB)
endif()
