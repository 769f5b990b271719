/**
 * Everything between COMPILE_FOR and COMPILE_FOR_ANY is compiled for other instruction sets than the rest. Standard headers come
 * before: a function of theirs that both regions use would exist once, for either.
 */
#pragma once
#define WEIGHTSPEC_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define COMPILE_FOR(features) WEIGHTSPEC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define COMPILE_FOR_ANY WEIGHTSPEC_PRAGMA(clang attribute pop)
#else
#define COMPILE_FOR(features) WEIGHTSPEC_PRAGMA(GCC push_options) WEIGHTSPEC_PRAGMA(GCC target(features))
#define COMPILE_FOR_ANY WEIGHTSPEC_PRAGMA(GCC pop_options)
#endif
