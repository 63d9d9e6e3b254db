# SPDX-License-Identifier: MIT
# Every examples/*.cpp is one program, <build>/examples/<name>.
file(GLOB _examples CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
foreach(_source IN LISTS _examples)
  get_filename_component(_name "${_source}" NAME_WE)
  flux_program(example_${_name} SOURCES "${_source}" NAME "${_name}" DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  if(FLUX_SANITIZE STREQUAL "address")
    # This check asks the kernel through a pipe whether memory is readable, and takes a program that is out of
    # descriptors (tests/peer/descriptors_test.sh) for one with a broken object.
    target_compile_options(example_${_name} PRIVATE -fno-sanitize=vptr)
  endif()
endforeach()
