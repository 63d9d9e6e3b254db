# SPDX-License-Identifier: MIT
# Several test files as one translation unit: most of what a compiler does for one of them, it does for its neighbours, too.
#
# flux_bundle(<variable> <root> <files at most> <source below root>...): what to compile instead of these sources. Files
# of one directory become one of <build>/tests/bundles/: first what they include, then the text of each in a namespace of
# its own, under its own name and line numbers, so that diagnostics, __FILE__ and doctest's --source-file are as if it
# were compiled alone. What the text cannot stand in a namespace for stays a unit of its own (FLUX_NOT_BUNDLED).
set(FLUX_NOT_BUNDLED
  # The includes move to the top: none may depend on the preprocessor, or come after the first declaration.
  "\n#[ ]*(define|undef|if|ifdef|ifndef|pragma)[^\n]*\n(.*\n)?#[ ]*include"
  "\n(namespace|using|template|struct|class|static)[ ](.*\n)?#[ ]*include"
  # Means the global namespace, or one that is not the file's.
  "\n(inline )?namespace (std|flux|doctest)[: {]"
  "\ntemplate ?<>"
  "\nextern \"C\""
  "\n[^\n/]*[ *&]operator (new|delete)"
  "\nint main\\(")

function(flux_bundle variable root most)
  set(units "")
  set(directories "")
  foreach(source IN LISTS ARGN)
    # Where the include lines of a file change, so does the unit.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${root}/${source}")
    file(READ "${root}/${source}" text)
    set(alone OFF)
    foreach(pattern IN LISTS FLUX_NOT_BUNDLED)
      if("\n${text}" MATCHES "${pattern}")
        set(alone ON)
      endif()
    endforeach()
    if(alone)
      list(APPEND units "${root}/${source}")
      continue()
    endif()
    get_filename_component(directory "${source}" DIRECTORY)
    list(APPEND directories "${directory}")
    list(APPEND sources_of_${directory} "${source}")
  endforeach()
  list(REMOVE_DUPLICATES directories)
  foreach(directory IN LISTS directories)
    list(LENGTH sources_of_${directory} count)
    math(EXPR bundles "(${count} + ${most} - 1) / ${most}")
    foreach(bundle RANGE 1 ${bundles})
      math(EXPR first "${count} * (${bundle} - 1) / ${bundles}")
      math(EXPR length "${count} * ${bundle} / ${bundles} - ${first}")
      list(SUBLIST sources_of_${directory} ${first} ${length} members)
      if(length EQUAL 1)
        list(APPEND units "${root}/${members}")
        continue()
      endif()
      string(REPLACE "/" "_" name "${directory}_${bundle}.cpp")
      flux_write_bundle("${CMAKE_CURRENT_BINARY_DIR}/bundles/${name}" "${root}" ${members})
      list(APPEND units "${CMAKE_CURRENT_BINARY_DIR}/bundles/${name}")
      # g++ takes what is not in the file that it was given for a header, which has no use for unnamed namespaces.
      set_source_files_properties("${CMAKE_CURRENT_BINARY_DIR}/bundles/${name}" PROPERTIES
        COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>")
    endforeach()
  endforeach()
  set(${variable} "${units}" PARENT_SCOPE)
endfunction()

# flux_write_bundle(<file> <root> <source below root>...)
function(flux_write_bundle file root)
  set(includes "")
  set(body "")
  set(number 0)
  foreach(source IN LISTS ARGN)
    file(STRINGS "${root}/${source}" lines REGEX "^#[ ]*(include|define) ")
    get_filename_component(directory "${source}" DIRECTORY)
    set(undefine "")
    foreach(line IN LISTS lines)
      if(line MATCHES "define ([A-Za-z0-9_]+)")
        string(APPEND undefine "#undef ${CMAKE_MATCH_1}\n")
        continue()
      endif()
      # A helper beside the file is not beside the bundle.
      if(line MATCHES "\"(.*)\"")
        set(helper "${directory}/${CMAKE_MATCH_1}")
        if(EXISTS "${root}/${helper}")
          set(line "#include \"${helper}\"")
        endif()
      endif()
      list(APPEND includes "${line}")
    endforeach()
    file(READ "${root}/${source}" text)
    string(REGEX REPLACE "\n#[ ]*include[^\n]*" "\n" text "\n${text}")
    math(EXPR number "${number} + 1")
    string(SUBSTRING "${text}" 1 -1 text)
    string(APPEND body "\nnamespace bundled_${number} {\n#line 1 \"${root}/${source}\"\n${text}}\n${undefine}")
  endforeach()
  list(REMOVE_DUPLICATES includes)
  list(JOIN includes "\n" includes)
  set(text "${includes}\n${body}")
  set(before "")
  if(EXISTS "${file}")
    file(READ "${file}" before)
  endif()
  # Written again only if it is another: else each configuration compiled everything.
  if(NOT before STREQUAL text)
    file(WRITE "${file}" "${text}")
  endif()
endfunction()
