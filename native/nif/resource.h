// C++ values that the BEAM's garbage collector owns: a resource type for each class.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "nif/codec.h"

namespace mlxnx::nif {

template <typename T>
class Resource {
 public:
  using Down = void (*)(ErlNifEnv*, void* object, ErlNifPid*, ErlNifMonitor*);

  /// Registers the type, or takes over that of an older version of the module; `down` hears of the
  /// ends of monitored processes. Returns: whether the BEAM took it.
  static bool open(ErlNifEnv* env, const char* name, ErlNifResourceFlags flags,
                   Down down = nullptr) {
    const ErlNifResourceTypeInit init{&destroy, nullptr, down, 3, nullptr};
    type_ = enif_init_resource_type(env, name, &init, flags, nullptr);
    return type_ != nullptr;
  }

  /// A new object. Owned by the caller until `enif_release_resource`.
  template <typename... Args>
  static T* construct(Args&&... args) {
    Slot* const slot = ::new (enif_alloc_resource(type_, sizeof(Slot))) Slot;
    try {
      T* const object =
          std::construct_at(reinterpret_cast<T*>(slot->bytes), std::forward<Args>(args)...);
      slot->is_made = true;
      return object;
    } catch (...) {
      enif_release_resource(slot);
      throw;
    }
  }

  /// The term of a new object.
  template <typename... Args>
  static Term make(ErlNifEnv* env, Args&&... args) {
    T* const object = construct(std::forward<Args>(args)...);
    const Term term = enif_make_resource(env, object);
    enif_release_resource(object);
    return term;
  }

  /// The object in `term`, or null.
  static T* find(ErlNifEnv* env, Term term) {
    void* object = nullptr;
    return enif_get_resource(env, term, type_, &object) ? static_cast<T*>(object) : nullptr;
  }

  /// Throws: ArgumentError when `term` holds no such object; `expected` says what it should be.
  static T& get(ErlNifEnv* env, Term term, std::string_view expected) {
    T* const object = find(env, term);
    if (object == nullptr) throw_unexpected(term, expected);
    return *object;
  }

 private:
  // The object stands first. Where its constructor throws there is memory to free, and no object.
  struct Slot {
    alignas(T) std::byte bytes[sizeof(T)];
    bool is_made = false;
  };

  static void destroy(ErlNifEnv*, void* slot) {
    if (static_cast<Slot*>(slot)->is_made) std::destroy_at(static_cast<T*>(slot));
  }

  static inline ErlNifResourceType* type_ = nullptr;
};

}  // namespace mlxnx::nif
