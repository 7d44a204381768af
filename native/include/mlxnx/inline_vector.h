// A vector of small values that needs no heap up to N elements: shapes and axes are made on every
// op call, where an allocation would cost as much as the op itself. What is taken out of it may
// live on in its place until that is taken again or the vector ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>

namespace mlxnx {

template <typename T, std::size_t N>
class InlineVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  InlineVector() = default;
  InlineVector(std::initializer_list<T> values) { assign(values.begin(), values.end()); }
  explicit InlineVector(std::size_t count, T value = T{}) {
    reserve(count);
    std::fill_n(data_, count, value);
    size_ = count;
  }
  template <std::input_iterator It>
  InlineVector(It first, It last) {
    assign(first, last);
  }
  explicit InlineVector(std::span<const T> values) { assign(values.begin(), values.end()); }
  InlineVector(const InlineVector& other) { assign(other.begin(), other.end()); }
  InlineVector(InlineVector&& other) noexcept { take(other); }
  InlineVector& operator=(const InlineVector& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  InlineVector& operator=(InlineVector&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~InlineVector() { release(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void clear() { size_ = 0; }
  void pop_back() { --size_; }
  void push_back(T value) { add() = std::move(value); }
  /// One element more, whose value is yet to be set.
  T& add() {
    if (size_ == capacity_) reserve(2 * capacity_);
    return data_[size_++];
  }
  void insert(const T* at, T value) {
    const std::size_t index = static_cast<std::size_t>(at - data_);
    push_back(std::move(value));
    std::rotate(data_ + index, data_ + size_ - 1, data_ + size_);
  }
  void insert(const T* at, const T* first, const T* last) {
    const std::size_t index = static_cast<std::size_t>(at - data_);
    const std::size_t before = size_;
    for (const T* it = first; it != last; ++it) push_back(*it);
    std::rotate(data_ + index, data_ + before, data_ + size_);
  }
  void erase(const T* at) {
    const std::size_t index = static_cast<std::size_t>(at - data_);
    std::move(data_ + index + 1, data_ + size_, data_ + index);
    --size_;
  }
  void resize(std::size_t count, T value = T{}) {
    reserve(count);
    if (count > size_) std::fill(data_ + size_, data_ + count, value);
    size_ = count;
  }
  void reserve(std::size_t count) {
    if (count <= capacity_) return;
    T* grown = new T[count];
    std::move(data_, data_ + size_, grown);
    release();
    data_ = grown;
    capacity_ = count;
  }
  template <std::input_iterator It>
  void assign(It first, It last) {
    if constexpr (std::forward_iterator<It>)
      reserve(static_cast<std::size_t>(std::distance(first, last)));
    size_ = 0;
    for (; first != last; ++first) push_back(static_cast<T>(*first));
  }

  operator std::span<const T>() const { return {data_, size_}; }

  friend bool operator==(const InlineVector& a, const InlineVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  void release() {
    if (data_ != inline_) delete[] data_;
    data_ = inline_;
    capacity_ = N;
  }
  void take(InlineVector& other) noexcept {
    if (other.data_ == other.inline_) {
      std::move(other.begin(), other.end(), inline_);
    } else {
      data_ = other.data_;
      capacity_ = other.capacity_;
      other.data_ = other.inline_;
      other.capacity_ = N;
    }
    size_ = other.size_;
    other.size_ = 0;
  }

  T* data_ = inline_;
  std::size_t size_ = 0;
  std::size_t capacity_ = N;
  T inline_[N];
};

}  // namespace mlxnx
