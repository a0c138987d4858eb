# add_engine_library(LIBRARY [OUTPUT_NAME name] [SOURCES file...] [EXPORTS symbol...])
#
# Compiles the engine's folder LIBRARY, with what it names of the folder common, into lib<name>.so (name: LIBRARY) and
# installs it into the package's lib/. SOURCES are compiled into it too; EXPORTS (patterns) are what they export beside
# the engine's last layer.
#
# The way: amalgamation (engine -> LIBRARY.pyx, LIBRARY.map, LIBRARY_records.h), Cython (-> LIBRARY.c), line directives
# led back to the engine, C compiler, linker. The linker drops what nothing exported needs: Cython's module set-up, and
# with it every reference to Python. `-z defs` fails the link if one is left.

get_filename_component(AMALGAMATION_PARENT "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
if(NOT DEFINED ENGINE_FOLDER) # a test builds another engine
  set(ENGINE_FOLDER "${AMALGAMATION_PARENT}/src/snugmalloc/engine")
endif()

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
find_package(Threads REQUIRED)

set(ENGINE_COMPILE_OPTIONS
  -fPIC
  -ffunction-sections # so that the linker can drop functions one by one
  -fdata-sections
  -fno-semantic-interposition # an exported function called from inside is this one: it may be inlined
  -Wall -Wextra
)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # else a static variable, read before a lock, is not read again behind it
  list(APPEND ENGINE_COMPILE_OPTIONS -fno-ipa-reference)
endif()
if(SNUG_DEBUG)
  list(APPEND ENGINE_COMPILE_OPTIONS -O1 -g)
  set(ENGINE_DEFINES --define DEBUG=1)
else()
  list(APPEND ENGINE_COMPILE_OPTIONS -O2)
  set(ENGINE_DEFINES)
endif()

if(SNUG_PAGE_SIZE)
  list(APPEND ENGINE_COMPILE_OPTIONS -DMACHINE_PAGE_SIZE=${SNUG_PAGE_SIZE})
endif()

function(add_engine_library library)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT_NAME" "SOURCES;EXPORTS")
  if(NOT arg_OUTPUT_NAME)
    set(arg_OUTPUT_NAME ${library})
  endif()
  set(exports)
  foreach(symbol IN LISTS arg_EXPORTS)
    list(APPEND exports --export ${symbol})
  endforeach()

  set(defines ${ENGINE_DEFINES})
  if(library STREQUAL "dropin") # SNUG_CONSTANTS is for tests: "VISITS=2;CROWDED=0"
    foreach(constant IN LISTS SNUG_CONSTANTS)
      list(APPEND defines --define ${constant})
    endforeach()
  endif()

  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${library}")
  set(unit "${folder}/${library}.pyx")
  set(map "${folder}/${library}.map")
  set(records "${folder}/${library}_records.h")
  set(c_file "${folder}/${library}.c")
  file(GLOB engine CONFIGURE_DEPENDS "${ENGINE_FOLDER}/machine.py"
       "${ENGINE_FOLDER}/common/*.py" "${ENGINE_FOLDER}/${library}/*.py")
  file(GLOB amalgamation CONFIGURE_DEPENDS "${AMALGAMATION_PARENT}/amalgamation/*.py")

  add_custom_command(
    OUTPUT "${unit}" "${map}" "${records}"
    COMMAND "${Python_EXECUTABLE}" -m amalgamation --engine "${ENGINE_FOLDER}" --library ${library}
            --output "${folder}" ${defines} ${exports}
    WORKING_DIRECTORY "${AMALGAMATION_PARENT}"
    DEPENDS ${engine} ${amalgamation}
    COMMENT "Amalgamating the engine's ${library}"
    VERBATIM
  )
  add_custom_command(
    OUTPUT "${c_file}"
    COMMAND "${Python_EXECUTABLE}" -m cython --line-directives -o "${c_file}" "${unit}"
    COMMAND "${Python_EXECUTABLE}" -m amalgamation.lines --engine "${ENGINE_FOLDER}" --unit "${unit}" "${c_file}"
    WORKING_DIRECTORY "${AMALGAMATION_PARENT}"
    DEPENDS "${unit}"
    COMMENT "Translating ${library} to C"
    VERBATIM
  )

  add_library(${library} SHARED "${c_file}" "${records}" ${arg_SOURCES})
  set_target_properties(${library} PROPERTIES
    OUTPUT_NAME ${arg_OUTPUT_NAME}
    C_STANDARD 11
    LINK_DEPENDS "${map};${ENGINE_FOLDER}/machine.h"
  )
  if(NOT "${SNUG_SOVERSION}" STREQUAL "") # without it there is no link beside the library: a wheel cannot hold one
    set_target_properties(${library} PROPERTIES SOVERSION ${SNUG_SOVERSION})
  endif()
  set_source_files_properties("${c_file}" PROPERTIES OBJECT_DEPENDS "${ENGINE_FOLDER}/machine.h")
  target_compile_options(${library} PRIVATE ${ENGINE_COMPILE_OPTIONS})
  target_include_directories(${library}
    PRIVATE "${ENGINE_FOLDER}" "${folder}" ${Python_INCLUDE_DIRS}
    INTERFACE "${AMALGAMATION_PARENT}/src/snugmalloc/include"
  )
  target_link_options(${library} PRIVATE -Wl,--gc-sections -Wl,-z,defs "-Wl,--version-script=${map}"
    -Wl,-z,relro -Wl,-z,now # symbols are resolved when the library is loaded, not inside a call under the lock
    -nostartfiles # gcc's would run at load, for nothing; one call makes all of the code resident
    -Wl,-z,nodelete) # threads that end and forks call it to the last
  target_link_libraries(${library} PRIVATE Threads::Threads)
  install(TARGETS ${library} LIBRARY DESTINATION snugmalloc/lib)
endfunction()
