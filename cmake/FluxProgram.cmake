# SPDX-License-Identifier: MIT
# How the programs of this project (tests, examples, benchmarks) are compiled. Users of flux never see these flags.

if(NOT DEFINED CMAKE_CXX_STANDARD)
  set(CMAKE_CXX_STANDARD 20)
endif()
set(CMAKE_CXX_STANDARD_REQUIRED ON)
if(NOT DEFINED CMAKE_CXX_EXTENSIONS)
  set(CMAKE_CXX_EXTENSIONS OFF)
endif()

add_library(flux_build_flags INTERFACE)
target_compile_options(flux_build_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-align -Wnull-dereference -Wformat=2 -Wimplicit-fallthrough -Wextra-semi
  "$<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond;-Wduplicated-branches;-Wlogical-op;-Wuseless-cast>"
  "$<$<BOOL:${FLUX_WERROR}>:-Werror>"
  # g++ makes a call out of a symmetric transfer below -O2: long chains of inline completions eat the stack.
  "$<$<AND:$<CXX_COMPILER_ID:GNU>,$<NOT:$<CONFIG:Release>>>:-foptimize-sibling-calls>")

if(FLUX_SANITIZE STREQUAL "address")
  set(_sanitizer -fsanitize=address,undefined -fno-sanitize-recover=undefined
      # Before 17, clang cannot assemble a coroutine with the data of this check ("difference across sections").
      "$<$<AND:$<CXX_COMPILER_ID:Clang>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,17>>:-fno-sanitize=function>"
      # Asks the kernel through a pipe whether memory is readable, and takes a program that is out of descriptors for
      # one with a broken object. Here, because what a target adds itself comes before what it links.
      "$<$<BOOL:$<TARGET_PROPERTY:FLUX_RUNS_OUT_OF_DESCRIPTORS>>:-fno-sanitize=vptr>")
elseif(FLUX_SANITIZE STREQUAL "thread")
  set(_sanitizer -fsanitize=thread)
elseif(FLUX_SANITIZE)
  message(FATAL_ERROR "flux: FLUX_SANITIZE is '${FLUX_SANITIZE}'; it can be empty, address or thread")
endif()
if(FLUX_SANITIZE)
  target_compile_options(flux_build_flags INTERFACE ${_sanitizer} -fno-omit-frame-pointer)
  target_link_options(flux_build_flags INTERFACE ${_sanitizer})
  # Instrumented code confuses g++'s data flow warnings; the other builds keep them.
  target_compile_options(flux_build_flags INTERFACE
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-null-dereference;-Wno-array-bounds;-Wno-stringop-overflow>")
endif()
# The second assertion level: on where bugs are looked for, off where users run.
target_compile_definitions(flux_build_flags INTERFACE
  "$<$<OR:$<CONFIG:Debug>,$<BOOL:${FLUX_SANITIZE}>>:FLUX_CHECKED=1>")

# flux_precompile(<target> <part>... [doctest::doctest]): flux.hpp with these parts is compiled once for all programs that
# take the same ones. Sources that set FLUX_CHECKED themselves read it anew.
function(flux_precompile target)
  string(REGEX REPLACE "[^a-z]+" "_" name "flux_precompiled ${ARGN}")
  if(NOT TARGET ${name})
    set(headers <flux.hpp>)
    if("doctest::doctest" IN_LIST ARGN)
      list(APPEND headers <doctest/doctest.h>)
    endif()
    file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/precompiled.cpp" CONTENT "")
    add_library(${name} OBJECT "${PROJECT_BINARY_DIR}/precompiled.cpp")
    target_link_libraries(${name} PRIVATE flux::flux ${ARGN} flux_build_flags)
    # For ccache: it sees which precompiled header is used, and the same input gives the same file.
    target_compile_options(${name} PRIVATE "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
    target_precompile_headers(${name} PRIVATE ${headers})
  endif()
  target_compile_options(${target} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>")
  target_precompile_headers(${target} REUSE_FROM ${name})
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    file(STRINGS "${source}" checked REGEX "^#[ ]*define FLUX_CHECKED" LIMIT_COUNT 1)
    if(checked)
      set_source_files_properties("${source}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

# flux_program(<target> SOURCES <file>... [LIBS <target>...] [DIRECTORY <dir>] [NAME <file name>] [WITHOUT_STRINGS])
# An optional part is linked when one of the sources includes one of its headers, or a helper that is named after it
# (<flux/tls/stream.hpp>, "support/tls_pair.hpp").
function(flux_program target)
  cmake_parse_arguments(arg "WITHOUT_STRINGS" "DIRECTORY;NAME" "SOURCES;LIBS" ${ARGN})
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE flux::flux ${arg_LIBS} flux_build_flags)
  set(precompiled "")
  if("flux_test_main" IN_LIST arg_LIBS)
    list(APPEND precompiled doctest::doctest)
  endif()
  foreach(part testing tls zlib)
    if("flux::${part}" IN_LIST arg_LIBS)
      list(APPEND precompiled flux::${part})
      continue()
    endif()
    foreach(source IN LISTS arg_SOURCES)
      if(NOT source MATCHES "[.]cpp$")
        continue()
      endif()
      file(STRINGS "${source}" uses REGEX "^#[ ]*include [<\"](.*/)?${part}[a-z_]*[./]" LIMIT_COUNT 1)
      if(uses AND NOT TARGET flux::${part})
        message(FATAL_ERROR "flux: ${source} needs flux::${part}, which this configuration leaves out")
      elseif(uses)
        target_link_libraries(${target} PRIVATE flux::${part})
        list(APPEND precompiled flux::${part})
        break()
      endif()
    endforeach()
  endforeach()
  # g++ 12 sees overruns in std::string that are none (-Warray-bounds) once <string> comes out of a precompiled header.
  if(FLUX_PRECOMPILE AND (arg_WITHOUT_STRINGS OR CMAKE_CXX_COMPILER_ID MATCHES "Clang"))
    flux_precompile(${target} ${precompiled})
  endif()
  if(arg_NAME)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME "${arg_NAME}")
  endif()
  if(arg_DIRECTORY)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${arg_DIRECTORY}")
  endif()
endfunction()
