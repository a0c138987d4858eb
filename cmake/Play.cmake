# add_player()
#
# What `snug replay` and `snug tune` play traces with: lib/snug-play, a small program (src/snugmalloc/play).

function(add_player)
  set(folder "${PROJECT_SOURCE_DIR}/src/snugmalloc")

  add_executable(snug-play "${folder}/play/snug-play.c")
  target_include_directories(snug-play PRIVATE "${folder}/include")
  target_link_libraries(snug-play PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(snug-play PROPERTIES C_STANDARD 11)
  target_compile_options(snug-play PRIVATE -O2 -Wall -Wextra)
  install(TARGETS snug-play RUNTIME DESTINATION snugmalloc/lib)
endfunction()
