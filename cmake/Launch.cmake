# add_launcher()
#
# What `snug run` and `snug compare` start programs with: lib/snug-launch, a small program, and lib/libsnug-run.so, which is
# preloaded beside libsnugmalloc.so (src/snugmalloc/launch).

function(add_launcher)
  set(folder "${PROJECT_SOURCE_DIR}/src/snugmalloc")

  add_executable(snug-launch "${folder}/launch/snug-launch.c")
  add_library(snug-run MODULE "${folder}/launch/companion.c")
  target_include_directories(snug-run PRIVATE "${folder}/include" "${CMAKE_CURRENT_BINARY_DIR}/dropin")
  add_dependencies(snug-run dropin) # whose figures it names: dropin_records.h
  target_link_libraries(snug-run PRIVATE ${CMAKE_DL_LIBS})
  foreach(target snug-launch snug-run)
    set_target_properties(${target} PROPERTIES C_STANDARD 11)
    target_compile_options(${target} PRIVATE -O2 -Wall -Wextra)
  endforeach()
  install(TARGETS snug-launch snug-run RUNTIME DESTINATION snugmalloc/lib LIBRARY DESTINATION snugmalloc/lib)
endfunction()
