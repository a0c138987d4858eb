# For a source tree that has no SNUG_RECORD_LOCKS, an older one: -DCMAKE_PROJECT_INCLUDE=.../RecordOther.cmake
# does the same there, once its targets are known.
set(RECORD_FILE "${CMAKE_CURRENT_LIST_DIR}/Record.cmake")
cmake_language(DEFER CALL include "${RECORD_FILE}")
