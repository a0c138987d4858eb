# add_extension(NAME LIBRARY...)
#
# Compiles src/snugmalloc/NAME.pyx into the extension module snugmalloc.NAME, linked to the LIBRARYs that lie in the
# package's lib/: the process has one heap, whether it is reached from Python or from C. Where Python has the stable ABI,
# the one module serves it and every newer one.

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)

set(STABLE_ABI 0x030B0000) # of Python 3.11, as wheel.py-api in pyproject.toml says; buffers are in it from there on
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
  if(SKBUILD_SABI_VERSION)
    Python_add_library(${name} MODULE "${c_file}")
    target_compile_definitions(${name} PRIVATE Py_LIMITED_API=${STABLE_ABI})
    set_target_properties(${name} PROPERTIES SUFFIX ".abi3.so")
  else() # a Python without the stable ABI, such as a free-threaded one
    Python_add_library(${name} MODULE WITH_SOABI "${c_file}")
  endif()
  target_link_libraries(${name} PRIVATE ${ARGN})
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/lib")
  install(TARGETS ${name} LIBRARY DESTINATION snugmalloc)
endfunction()
