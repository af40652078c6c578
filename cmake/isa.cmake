# SPDX-License-Identifier: MIT
# Flags of the files that hold kernels for one instruction set. One is chosen at start by CPUID; nothing else may use these flags.
set(TTT_FLAGS_AVX2 -mavx2 -mfma -mf16c)
set(TTT_FLAGS_AVX512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512
  $<$<CONFIG:Debug>:-Wno-sign-conversion>) # without optimisation the compiler's intrinsics are macros, and convert signs
set(TTT_FLAGS_VNNI ${TTT_FLAGS_AVX512} -mavx512vnni)
set(TTT_FLAGS_AVX512BF16 ${TTT_FLAGS_AVX512} -mavx512bf16)
set(TTT_FLAGS_AMX ${TTT_FLAGS_AVX512} -mamx-tile -mamx-bf16)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(TTT_X86 ON)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(TTT_ARM64 ON) # NEON is part of every one and needs no flags
endif()
