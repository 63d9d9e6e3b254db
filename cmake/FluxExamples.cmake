# SPDX-License-Identifier: MIT
# Every examples/*.cpp is one program, <build>/examples/<name>. One that includes a header of TLS needs it; one that asks
# for FLUX_WITH_TLS takes it where it is there.
file(GLOB _examples CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
foreach(_source IN LISTS _examples)
  get_filename_component(_name "${_source}" NAME_WE)
  file(STRINGS "${_source}" _tls REGEX "^#[ ]*include <flux/tls" LIMIT_COUNT 1)
  if(_tls AND NOT TARGET flux::tls)
    message(STATUS "flux: examples/${_name} needs TLS, which this configuration leaves out")
    continue()
  endif()
  file(STRINGS "${_source}" _may_use_tls REGEX "^#[ ]*if.*FLUX_WITH_TLS" LIMIT_COUNT 1)
  set(_libs)
  if(_may_use_tls AND TARGET flux::tls)
    set(_libs flux::tls)
  endif()
  flux_program(example_${_name} LIBS ${_libs} SOURCES "${_source}" NAME "${_name}" DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  # tests/peer/descriptors_test.sh does that to them.
  set_target_properties(example_${_name} PROPERTIES FLUX_RUNS_OUT_OF_DESCRIPTORS ON)
endforeach()
