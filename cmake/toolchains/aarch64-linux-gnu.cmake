# Debian's cross compiler for aarch64: packages gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
#   cmake -S . -B build/aarch64 -DSNUG_PYTHON=OFF -DCMAKE_TOOLCHAIN_FILE=cmake/toolchains/aarch64-linux-gnu.cmake

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
