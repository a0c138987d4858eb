# What SNUG_RECORD_LOCKS adds to the drop-in malloc: each thread records its use of the locks, for
# `python -m benchmarks simulate`. The engine and machine.h know nothing of it (benchmarks/c/recording.h).

set(recording "${CMAKE_CURRENT_LIST_DIR}/../benchmarks/c/recording.h")
set(unit "${CMAKE_CURRENT_BINARY_DIR}/dropin/dropin.c")
set(machine "${PROJECT_SOURCE_DIR}/src/snugmalloc/engine/machine.h")
file(STRINGS "${machine}" one_lock REGEX "bool machine_lock\\(void\\)") # before there were several heaps
set_property(SOURCE "${unit}" APPEND PROPERTY COMPILE_OPTIONS -include "${recording}")
set_property(SOURCE "${unit}" APPEND PROPERTY COMPILE_DEFINITIONS _GNU_SOURCE) # machine.h comes before Python.h
if(one_lock)
  set_property(SOURCE "${unit}" APPEND PROPERTY COMPILE_DEFINITIONS RECORDING_ONE_LOCK)
endif()
set_property(SOURCE "${unit}" APPEND PROPERTY OBJECT_DEPENDS "${recording}")
