# SPDX-License-Identifier: MIT
# cmake --install: headers, a CMake package with one component per optional part, pkg-config files, a Debian package.
include(CMakePackageConfigHelpers)

set(FLUX_CMAKE_DIR "${CMAKE_INSTALL_DATADIR}/cmake/flux")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
if(EXISTS "${PROJECT_SOURCE_DIR}/LICENSE")
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/flux")
endif()

install(TARGETS flux EXPORT flux-targets)
install(EXPORT flux-targets NAMESPACE flux:: DESTINATION "${FLUX_CMAKE_DIR}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/flux-config.cmake.in"
  "${PROJECT_BINARY_DIR}/flux-config.cmake" INSTALL_DESTINATION "${FLUX_CMAKE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/flux-config-version.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/flux-config.cmake" "${PROJECT_BINARY_DIR}/flux-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/Findliburing.cmake" "${PROJECT_SOURCE_DIR}/cmake/Findwolfssl.cmake"
        DESTINATION "${FLUX_CMAKE_DIR}")

# The prefix is written relative to the file: cmake --install --prefix, a package or a moved tree all stay right.
set(FLUX_PC_DIR "${CMAKE_INSTALL_DATADIR}/pkgconfig")
file(RELATIVE_PATH FLUX_PC_PREFIX "/prefix/${FLUX_PC_DIR}" "/prefix")
string(REGEX REPLACE "/$" "" FLUX_PC_PREFIX "${FLUX_PC_PREFIX}")

function(flux_install_pc name description requires cflags libs)
  set(FLUX_PC_NAME "${name}")
  set(FLUX_PC_DESCRIPTION "${description}")
  set(FLUX_PC_REQUIRES "${requires}")
  set(FLUX_PC_CFLAGS "${cflags}")
  set(FLUX_PC_LIBS "${libs}")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/flux.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${FLUX_PC_DIR}")
endfunction()

flux_install_pc(flux "${PROJECT_DESCRIPTION}" "liburing >= 2.3" "-I\${includedir} -pthread" "-pthread")
foreach(_part testing tls zlib)
  if(NOT TARGET flux_${_part})
    continue()
  endif()
  string(TOUPPER "${_part}" _upper)
  set(_requires "flux = ${PROJECT_VERSION}")
  if(_part STREQUAL "tls")
    string(APPEND _requires ", wolfssl >= 5.5")
  elseif(_part STREQUAL "zlib")
    string(APPEND _requires ", zlib")
  endif()
  install(TARGETS flux_${_part} EXPORT flux-${_part}-targets)
  install(EXPORT flux-${_part}-targets NAMESPACE flux:: DESTINATION "${FLUX_CMAKE_DIR}")
  flux_install_pc("flux-${_part}" "The optional part '${_part}' of flux" "${_requires}" "-DFLUX_WITH_${_upper}=1" "")
endforeach()

if(PROJECT_IS_TOP_LEVEL)
  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_NAME libflux-dev)
  set(CPACK_PACKAGE_CONTACT "the flux project")
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "liburing-dev (>= 2.3)")
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libwolfssl-dev (>= 5.5), zlib1g-dev")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  include(CPack)
endif()
