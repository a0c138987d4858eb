# Zig's C compiler, which links to any version of glibc: for wheels (distribution/wheels.py).
#   -DZIG=<the program>  -DZIG_PROCESSOR=<x86_64 or aarch64>  -DZIG_GLIBC=<the oldest glibc to run on, such as 2.17>

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_PROCESSOR ZIG_GLIBC)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${ZIG_PROCESSOR})
set(CMAKE_C_COMPILER "${ZIG}" cc)
set(CMAKE_C_COMPILER_TARGET ${ZIG_PROCESSOR}-linux-gnu.${ZIG_GLIBC})
