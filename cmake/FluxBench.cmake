# SPDX-License-Identifier: MIT
# Every bench/*.cpp is one Google Benchmark program, <build>/bench/<name>, and a test that runs each benchmark for a
# moment, so that none of them can rot.
file(GLOB _benches CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cpp")
if(_benches)
  find_package(benchmark REQUIRED)
endif()
foreach(_source IN LISTS _benches)
  get_filename_component(_name "${_source}" NAME_WE)
  flux_program(bench_${_name} SOURCES "${_source}" NAME "${_name}" DIRECTORY "${PROJECT_BINARY_DIR}/bench"
               LIBS benchmark::benchmark benchmark::benchmark_main)
  if(FLUX_BUILD_TESTS)
    add_test(NAME "bench/${_name}" COMMAND bench_${_name} --benchmark_min_time=0.001)
    set_tests_properties("bench/${_name}" PROPERTIES LABELS bench TIMEOUT 120)
  endif()
endforeach()
