// Errors. A function that fails reports one text to the process-wide handler and then answers
// non-zero, an empty handle, or null/0. The handler runs on the failing thread and may be called
// from several threads at once.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*mlx_error_handler_func)(const char* msg, void* data);

/// Replaces the handler. `dtor` (may be null) is called on `data` once the handler is replaced and
/// no call of it is running. A null handler restores the default, which prints the text and exits
/// the process.
void mlx_set_error_handler(mlx_error_handler_func handler, void* data, void (*dtor)(void*));

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void _mlx_error(const char* file, const int line, const char* fmt, ...);

#define mlx_error(...) _mlx_error(__FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
