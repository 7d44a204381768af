#include "nif/tensor.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "io/shared_memory.h"
#include "mlxc/array.h"
#include "mlxc/f64_on_gpu.h"
#include "mlxnx/error.h"
#include "nif/pressure.h"
#include "nif/resource.h"
#include "nif/stream.h"
#include "tensor/node.h"

namespace mlxnx::nif {

const Tensor* TensorHandle::borrow() {
  const std::uint32_t before = state_.fetch_add(1, std::memory_order_acquire);
  if ((before & kDeallocated) == 0) [[likely]]
    return &*tensor_;
  state_.fetch_sub(1, std::memory_order_release);
  return nullptr;
}

void TensorHandle::release() {
  const std::uint32_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & kDeallocated) != 0) [[unlikely]]
    free_if_unused();
}

bool TensorHandle::deallocate() {
  const std::uint32_t before = state_.fetch_or(kDeallocated, std::memory_order_acq_rel);
  if ((before & kDeallocated) != 0) return false;
  free_if_unused();
  return true;
}

// One caller at most gets through; where a late `borrow` is in the way, the destructor frees.
void TensorHandle::free_if_unused() {
  std::uint32_t unused = kDeallocated;
  if (!state_.compare_exchange_strong(unused, kDeallocated | kFreed, std::memory_order_acq_rel))
    return;
  delete pinned_.exchange(nullptr, std::memory_order_acq_rel);
  tensor_.reset();
}

std::size_t deallocate(std::span<TensorHandle* const> handles) {
  std::size_t bytes = 0;
  for (TensorHandle* const handle : handles) {
    const Tensor* const tensor = handle->borrow();
    if (tensor == nullptr) continue;
    bytes += tensor->byte_size();
    handle->deallocate();
    handle->release();
  }
  return bytes;
}

std::span<const std::byte> TensorHandle::pin() {
  const TensorView* pinned = pinned_.load(std::memory_order_acquire);
  if (pinned == nullptr) {
    auto view = std::make_unique<const TensorView>(*tensor_);
    if (pinned_.compare_exchange_strong(pinned, view.get(), std::memory_order_acq_rel))
      pinned = view.release();
  }
  return pinned->bytes();
}

namespace {

const Tensor* borrow_or_throw(TensorHandle* handle) {
  const Tensor* tensor = handle->borrow();
  if (tensor == nullptr)
    throw ArgumentError(
        "the tensor was deallocated (Nx.backend_deallocate or Nx.backend_transfer)");
  return tensor;
}

// Evaluates a little graph here and now.
bool can_be_read_at_once(const Tensor& tensor) {
  tensors::Node* const node = &tensor.node();
  return tensors::evaluate_if_quick({&node, 1}) && mlxc::is_row_contiguous(node->array);
}

// Below this a copy costs less than a resource.
constexpr std::size_t kSmallBinaryBytes = 1024;
// What a normal scheduler may copy: about a tenth of a millisecond.
constexpr std::size_t kQuickCopyBytes = std::size_t{1} << 20;

Term binary_of(ErlNifEnv* env, const Tensor& tensor, std::size_t limit_bytes) {
  const TensorView view(tensor);
  const std::span<const std::byte> bytes =
      view.bytes().first(std::min(limit_bytes, view.bytes().size()));
  Term term;
  if (bytes.size() <= kSmallBinaryBytes) {
    unsigned char* const out = enif_make_new_binary(env, bytes.size(), &term);
    if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
    return term;
  }
  TensorView* const owner = Resource<TensorView>::construct(view);
  term = enif_make_resource_binary(env, owner, bytes.data(), bytes.size());
  enif_release_resource(owner);
  return term;
}

// NIF functions

Term from_binary(ErlNifEnv* env, TensorType type, std::span<const std::byte> bytes, Where where) {
  const WhereScope scope(where);
  if (type.dtype == DType::f64) mlxc::require_f64("from_binary");
  const Term tensor = encode(env, Tensor::from_bytes(bytes, type));
  return with_pressure(env, note_built(bytes.size()), tensor);
}

bool is_quick_from_binary(const TensorType&, const std::span<const std::byte>& bytes,
                          const Where&) {
  return bytes.size() <= kQuickCopyBytes;
}

Term to_binary(ErlNifEnv* env, TensorArg tensor, std::int64_t limit) {
  if (limit < 0) throw ArgumentError("expected a number of elements, got " + std::to_string(limit));
  const std::size_t count = std::min<std::size_t>(limit, tensor->size());
  return binary_of(env, *tensor, count * size_bytes(tensor->dtype()));
}

bool is_quick_to_binary(const TensorArg& tensor, std::int64_t) {
  return can_be_read_at_once(*tensor);
}

// Little that is computed, or is quickly; nil for all else, and for what `to_binary` refuses.
Term little_binary(ErlNifEnv* env, Term term, std::int64_t limit) {
  try {
    const auto tensor = decode<TensorArg>(env, term);
    const auto most = static_cast<std::int64_t>(kSmallBinaryBytes / size_bytes(tensor->dtype()));
    const std::int64_t count = std::min<std::int64_t>(limit, tensor->size());
    if (count >= 0 && count <= most && can_be_read_at_once(*tensor))
      return binary_of(env, *tensor, static_cast<std::size_t>(count) * size_bytes(tensor->dtype()));
  } catch (const std::exception&) {
  }
  return atoms.nil;
}

InlineVector<tensors::Node*, 4> nodes_of(const TensorList& list) {
  InlineVector<tensors::Node*, 4> nodes;
  for (const Tensor* tensor : list.tensors()) nodes.push_back(&tensor->node());
  return nodes;
}

void eval_tensors(ErlNifEnv*, TensorList list) { tensors::evaluate(nodes_of(list)); }

bool is_quick_eval(const TensorList& list) { return tensors::evaluate_if_quick(nodes_of(list)); }

// False for anything that `eval` refuses, so that the refusal is eval's.
bool are_evaluated(ErlNifEnv* env, Term list) {
  try {
    const auto tensors = decode<TensorList>(env, list);
    const auto nodes = nodes_of(tensors);
    return std::all_of(nodes.begin(), nodes.end(), [](const tensors::Node* node) {
      return node->known.load(std::memory_order_acquire);
    });
  } catch (const ArgumentError&) {
    return false;
  }
}

void async_eval_tensors(ErlNifEnv*, TensorList list) { async_eval(list.copies()); }

Term deallocate_one(ErlNifEnv*, TensorHandle* handle) {
  return handle->deallocate() ? atoms.ok : atoms.already_deallocated;
}

TensorType type_of(ErlNifEnv*, TensorArg tensor) { return tensor->type(); }

Tensor copy(ErlNifEnv*, TensorArg tensor) { return *tensor; }

Bytes address(ErlNifEnv*, TensorArg tensor) {
  return {reinterpret_cast<std::uintptr_t>(tensor.handle().pin().data())};
}

Tensor from_address(ErlNifEnv*, Bytes address, TensorType type) {
  const std::size_t size =
      static_cast<std::size_t>(element_count(type.shape)) * size_bytes(type.dtype);
  if (address.count == 0 && size > 0) throw ArgumentError("[from_pointer] the address is 0");
  return Tensor::from_bytes({reinterpret_cast<const std::byte*>(address.count), size}, type);
}

std::string share(ErlNifEnv*, TensorArg tensor, std::int64_t permissions) {
  return io::share(*tensor, static_cast<mode_t>(std::clamp<std::int64_t>(permissions, 0, 07777)));
}

Tensor claim(ErlNifEnv*, std::string name, TensorType type) { return io::claim(name, type); }

}  // namespace

bool open_tensor_resources(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<TensorHandle>::open(env, "tensor", flags) &&
         Resource<TensorView>::open(env, "view", flags);
}

TensorHandle* decode_handle(ErlNifEnv* env, Term term) {
  if (TensorHandle* const handle = Resource<TensorHandle>::find(env, term)) return handle;
  const std::string text = text_of(term);
  // References of this node are printed so; there is no function that tells them.
  if (!enif_is_ref(env, term) || text.starts_with("#Ref<0.")) throw_unexpected(term, "a tensor");
  throw ArgumentError("expected a tensor of this node, got " + text +
                      ": tensors for other nodes have to be copied first, with "
                      "Nx.backend_copy(tensor, Nx.BinaryBackend)");
}

TensorArg::TensorArg(TensorHandle* handle) : handle_(handle), tensor_(borrow_or_throw(handle)) {}

void TensorList::add(TensorHandle* handle) {
  tensors_.push_back(borrow_or_throw(handle));
  handles_.push_back(handle);
}

std::vector<Tensor> TensorList::copies() const {
  std::vector<Tensor> copies;
  for (const Tensor* tensor : tensors_) copies.push_back(*tensor);
  return copies;
}

TensorList Codec<TensorList>::decode(ErlNifEnv* env, Term term) {
  TensorList list;
  Term head, tail = term;
  while (enif_get_list_cell(env, tail, &head, &tail)) list.add(decode_handle(env, head));
  if (!enif_is_empty_list(env, tail)) throw_unexpected(term, "a list of tensors");
  return list;
}

Term Codec<Tensor>::encode(ErlNifEnv* env, Tensor tensor) {
  return Resource<TensorHandle>::make(env, std::move(tensor));
}

Term with_type(ErlNifEnv* env, const Tensor& tensor) {
  return enif_make_tuple2(env, encode(env, tensor), encode(env, tensor.type()));
}

std::span<const ErlNifFunc> tensor_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"from_binary", &from_binary, &is_quick_from_binary>(),
      nif_function<"to_binary", &to_binary, &is_quick_to_binary>(),
      nif_function<"little_binary", &little_binary>(),
      nif_function<"eval", &eval_tensors, &is_quick_eval>(),
      nif_function<"evaluated?", &are_evaluated>(),
      nif_function<"async_eval", &async_eval_tensors>(),
      nif_function<"deallocate", &deallocate_one>(),
      nif_function<"type_of", &type_of>(),
      nif_function<"copy", &copy>(),
      nif_function<"address", &address, NeverQuick{}>(),
      nif_function<"from_address", &from_address, NeverQuick{}>(),
      nif_function<"share", &share, NeverQuick{}>(),
      nif_function<"claim", &claim, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
