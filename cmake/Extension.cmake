# add_extension(NAME LIBRARY...)
#
# Compiles src/snugmalloc/NAME.pyx into the extension module snugmalloc.NAME, linked to the LIBRARYs that lie in the
# package's lib/: the process has one heap, whether it is reached from Python or from C.

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)

set(PACKAGE_FOLDER "${PROJECT_SOURCE_DIR}/src/snugmalloc")

function(add_extension name)
  set(c_file "${CMAKE_CURRENT_BINARY_DIR}/${name}.c")
  file(GLOB declarations CONFIGURE_DEPENDS "${PACKAGE_FOLDER}/*.pxd")
  add_custom_command(
    OUTPUT "${c_file}"
    COMMAND "${Python_EXECUTABLE}" -m cython --module-name snugmalloc.${name} -I "${PROJECT_SOURCE_DIR}/src"
            -o "${c_file}" "${PACKAGE_FOLDER}/${name}.pyx"
    DEPENDS "${PACKAGE_FOLDER}/${name}.pyx" ${declarations}
    COMMENT "Translating snugmalloc.${name} to C"
    VERBATIM
  )
  Python_add_library(${name} MODULE WITH_SOABI "${c_file}")
  target_link_libraries(${name} PRIVATE ${ARGN})
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/lib")
  install(TARGETS ${name} LIBRARY DESTINATION snugmalloc)
endfunction()
