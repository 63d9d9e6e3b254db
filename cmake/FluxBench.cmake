# SPDX-License-Identifier: MIT
# Every bench/*.cpp is one program, <build>/bench/<name>, and a test that runs it for a moment, so that none can rot.
# Those that include <benchmark/benchmark.h> are linked with Google Benchmark and its main; the others bring their own.
file(GLOB _benches CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cpp")
foreach(_source IN LISTS _benches)
  get_filename_component(_name "${_source}" NAME_WE)
  flux_program(bench_${_name} SOURCES "${_source}" NAME "${_name}" DIRECTORY "${PROJECT_BINARY_DIR}/bench")
  file(STRINGS "${_source}" _google REGEX "^#[ ]*include <benchmark/" LIMIT_COUNT 1)
  set(_arguments "")
  if(_google)
    find_package(benchmark REQUIRED)
    target_link_libraries(bench_${_name} PRIVATE benchmark::benchmark benchmark::benchmark_main)
    set(_arguments --benchmark_min_time=0.001)
  endif()
  if(FLUX_BUILD_TESTS)
    add_test(NAME "bench/${_name}" COMMAND bench_${_name} ${_arguments})
    set_tests_properties("bench/${_name}" PROPERTIES LABELS bench TIMEOUT 120)
  endif()
endforeach()
