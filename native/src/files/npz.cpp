#include "files/npz.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "files/file_errors.h"
#include "files/utf8.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr std::string_view kSuffix = ".npy";
// Deflate makes at most 1032 bytes of one.
constexpr std::uint64_t kMostGrowth = 1032;
// An archive without members, for which libzip writes no file.
constexpr std::string_view kEmpty("PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Zip = std::unique_ptr<zip_t, Discard>;

struct Error : zip_error_t {
  Error() { zip_error_init(this); }
  ~Error() { zip_error_fini(this); }
  Error(const Error&) = delete;
  Error& operator=(const Error&) = delete;
};

[[noreturn]] void refuse_writing(const char* why) {
  throw ArgumentError(fmt::format("[npz] the archive can't be written: {}", why));
}

// Where `word` stands in `text`; of more than `most` places, so many and one.
std::vector<std::size_t> places_of(std::string_view word, std::string_view text, std::size_t most) {
  std::vector<std::size_t> places;
  for (std::size_t at = text.find(word); at != text.npos && places.size() <= most;
       at = text.find(word, at + 1))
    places.push_back(at);
  return places;
}

// libzip takes minutes where many places look like the end of an archive, since it reads the whole
// directory for each, and where there are many members whose names have the same hash.
void check_counts(std::span<const std::byte> file) {
  constexpr std::size_t kSearched = 1 << 17;  // an end and its comment, and more
  constexpr std::size_t kMostEnds = 2;        // one may stand among the elements
  constexpr std::size_t kOffsetInEnd = 16;
  constexpr std::uint32_t kElsewhere = 0xffffffff;
  const std::string_view tail = as_text(file.last(std::min(file.size(), kSearched)));
  const std::vector<std::size_t> ends = places_of(kEmpty.substr(0, 4), tail, kMostEnds);
  if (ends.size() > kMostEnds)
    refuse(fmt::format("it is no zip archive: it has more than {} ends", kMostEnds));
  std::size_t first = file.size();
  for (const std::size_t end : ends) {
    std::uint32_t offset = 0;
    if (tail.size() - end >= kEmpty.size())
      std::memcpy(&offset, tail.data() + end + kOffsetInEnd, sizeof(offset));
    first = std::min<std::size_t>(first, offset == kElsewhere ? 0 : offset);
  }
  const auto members = places_of("PK\x01\x02", as_text(file.subspan(first)), kMostNpzMembers);
  if (members.size() > kMostNpzMembers)
    refuse(fmt::format("more than {} members", kMostNpzMembers));
}

Zip opened(std::span<const std::byte> file) {
  // libzip takes an empty file for an empty archive.
  if (file.size() < kEmpty.size())
    refuse(fmt::format("it is no zip archive: {} bytes", file.size()));
  check_counts(file);
  Error error;
  zip_source_t* const source = zip_source_buffer_create(file.data(), file.size(), 0, &error);
  zip_t* const archive =
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  if (archive == nullptr) {
    if (source != nullptr) zip_source_free(source);
    refuse(fmt::format("it is no zip archive: {}", zip_error_strerror(&error)));
  }
  return Zip(archive);
}

template <typename F>
auto naming_member(std::string_view name, F f) {
  return prefixing_errors([&] { return fmt::format("member {:?}: ", name); }, std::move(f));
}

// The bytes of a member from its start on.
class Stream {
 public:
  Stream(zip_t* archive, std::uint64_t index) : file_(zip_fopen_index(archive, index, 0)) {
    if (file_ == nullptr) refuse(zip_strerror(archive));
  }
  ~Stream() { zip_fclose(file_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Fewer only where it ends.
  std::size_t read(std::span<std::byte> bytes) {
    std::size_t got = 0;
    while (got < bytes.size()) {
      const zip_int64_t more = zip_fread(file_, bytes.data() + got, bytes.size() - got);
      if (more < 0) refuse(zip_error_strerror(zip_file_get_error(file_)));
      if (more == 0) break;
      got += static_cast<std::size_t>(more);
    }
    return got;
  }

 private:
  zip_file_t* file_;
};

// What the archive says of a member. Not trusted: only whether it can be so.
zip_stat_t checked_stat(zip_t* archive, std::uint64_t index) {
  zip_stat_t stat;
  if (zip_stat_index(archive, index, 0, &stat) != 0) refuse(zip_strerror(archive));
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if ((stat.valid & kNeeded) != kNeeded) refuse("its size is not told");
  if (stat.encryption_method != ZIP_EM_NONE) throw UnsupportedError("it is encrypted");
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) {
    throw UnsupportedError(fmt::format(
        "it is compressed by method {}; stored and deflated ones can be read", stat.comp_method));
  }
  const bool is_stored = stat.comp_method == ZIP_CM_STORE;
  if (is_stored ? stat.size != stat.comp_size : stat.size / kMostGrowth > stat.comp_size)
    refuse(fmt::format("{} bytes can't become {}", stat.comp_size, stat.size));
  return stat;
}

NpyHeader read_header(zip_t* archive, std::uint64_t index, std::uint64_t size) {
  Stream stream(archive, index);
  std::vector<std::byte> header(kNpyStart);
  header.resize(stream.read(header));
  const std::size_t wanted = npy_header_size(header);
  if (wanted > size) refuse("its header is cut off");
  const std::size_t before = header.size();
  if (wanted > before) {
    header.resize(wanted);
    header.resize(before + stream.read(std::span(header).subspan(before)));
  }
  const NpyHeader parsed = parse_npy_header(header);
  check_npy_bytes(parsed, size - parsed.size);
  return parsed;
}

}  // namespace

struct NpzReader::Archive {
  Zip zip;
  std::vector<NpzMember> members;
};

NpzReader::NpzReader(std::span<const std::byte> file)
    : archive_(std::make_unique<Archive>(Archive{opened(file), {}})) {
  zip_t* const zip = archive_->zip.get();
  const auto count = static_cast<std::uint64_t>(zip_get_num_entries(zip, 0));
  std::unordered_set<std::string_view> names;
  std::uint64_t taken = 0;
  for (std::uint64_t index = 0; index < count; ++index) {
    const char* const text = zip_get_name(zip, index, 0);
    if (text == nullptr) refuse(fmt::format("member {} has no name", index));
    const std::string_view name = text;
    naming_member(name, [&] {
      if (!names.insert(name).second) refuse("its name stands twice");
      if (!name.ends_with(kSuffix)) refuse("it is no .npy file");
      const zip_stat_t stat = checked_stat(zip, index);
      // Members that share bytes would make more of a file than it warrants.
      if (stat.comp_size > file.size() - taken)
        refuse(
            fmt::format("its {} bytes and the {} of others before it are more than the file's {}",
                        stat.comp_size, taken, file.size()));
      taken += stat.comp_size;
      archive_->members.push_back({std::string(name.substr(0, name.size() - kSuffix.size())),
                                   read_header(zip, index, stat.size), index});
    });
  }
}

NpzReader::~NpzReader() = default;

std::span<const NpzMember> NpzReader::members() const { return archive_->members; }

void NpzReader::read(const NpzMember& member, std::span<std::byte> elements) const {
  naming_member(member.name + std::string(kSuffix), [&] {
    Stream stream(archive_->zip.get(), member.index);
    std::vector<std::byte> header(member.header.size);
    const std::size_t got = stream.read(header) + stream.read(elements);
    if (got < header.size() + elements.size())
      refuse(fmt::format("{} bytes are all of its {}", got, header.size() + elements.size()));
    // At its end the checksum is looked at.
    std::array<std::byte, 1> more;
    if (stream.read(more) != 0) refuse("more follows its elements");
  });
}

namespace {

// What libzip calls is C: exceptions wait in `failure` until it has come back.
class Caller {
 public:
  template <typename F>
  zip_int64_t call(F f) {
    try {
      return f();
    } catch (...) {
      failure_ = std::current_exception();
      zip_error_set(&error_, ZIP_ER_WRITE, 0);
      return -1;
    }
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 protected:
  Error error_;

 private:
  std::exception_ptr failure_;
};

// The archive as it is written, into a file that is the caller's.
class Sink : public Caller {
 public:
  explicit Sink(AtomicFile& file) : file_(file) {}

  static zip_int64_t answer(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    auto& sink = *static_cast<Sink*>(self);
    return sink.call([&] { return sink.serve(data, length, command); });
  }

 private:
  zip_int64_t serve(void* data, zip_uint64_t length, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_BEGIN_WRITE,
            ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_SEEK_WRITE,
            ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, ZIP_SOURCE_WRITE, -1);
      case ZIP_SOURCE_STAT:
        zip_stat_init(static_cast<zip_stat_t*>(data));
        return sizeof(zip_stat_t);
      case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&error_, data, length);
      case ZIP_SOURCE_WRITE:
        file_.write_at(start_ + position_,
                       {static_cast<const std::byte*>(data), static_cast<std::size_t>(length)});
        position_ += length;
        return static_cast<zip_int64_t>(length);
      case ZIP_SOURCE_SEEK_WRITE: {
        const zip_int64_t to =
            zip_source_seek_compute_offset(position_, file_.size() - start_, data, length, &error_);
        if (to >= 0) position_ = static_cast<std::uint64_t>(to);
        return to < 0 ? -1 : 0;
      }
      case ZIP_SOURCE_TELL_WRITE:
        return static_cast<zip_int64_t>(position_);
      default:  // nothing is read back
        return 0;
    }
  }

  AtomicFile& file_;
  std::uint64_t start_ = file_.size();
  std::uint64_t position_ = 0;
};

// One array as libzip reads it: the header, and then the elements.
class Array : public Caller {
 public:
  using Elements = std::function<std::span<const std::byte>()>;
  Array(const TensorType& type, Elements elements)
      : header_(npy_header(type)),
        size_(header_.size() + stored_bytes(stored_type(type.dtype), type.shape)),
        elements_of_(std::move(elements)) {}

  static zip_int64_t answer(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    auto& array = *static_cast<Array*>(self);
    return array.call([&] { return array.serve(data, length, command); });
  }

 private:
  zip_int64_t serve(void* data, zip_uint64_t length, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                              -1);
      case ZIP_SOURCE_STAT: {
        auto& stat = *static_cast<zip_stat_t*>(data);
        zip_stat_init(&stat);
        stat.size = size_;
        stat.valid = ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
      }
      case ZIP_SOURCE_OPEN:
        rest_[0] = std::as_bytes(std::span(header_));
        rest_[1] = elements_of_();
        return 0;
      case ZIP_SOURCE_READ:
        return static_cast<zip_int64_t>(
            read({static_cast<std::byte*>(data), static_cast<std::size_t>(length)}));
      case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&error_, data, length);
      default:
        return 0;
    }
  }
  std::size_t read(std::span<std::byte> bytes) {
    std::size_t got = 0;
    for (std::span<const std::byte>& rest : rest_) {
      const std::size_t count = std::min(rest.size(), bytes.size() - got);
      std::copy_n(rest.begin(), count, bytes.begin() + static_cast<std::ptrdiff_t>(got));
      rest = rest.subspan(count);
      got += count;
    }
    return got;
  }

  std::string header_;
  std::uint64_t size_;
  Elements elements_of_;
  std::array<std::span<const std::byte>, 2> rest_;
};

void add(zip_t* zip, const std::string& name, Array& array, bool is_compressed) {
  constexpr zip_uint16_t kFirstDay = 1 << 5 | 1;  // of 1980, as numpy has it
  const auto refuse_name = [&](const char* why) {
    throw ArgumentError(fmt::format("[npz] a tensor can't be named {:?}: {}", name, why));
  };
  if (name.find('\0') != std::string::npos) refuse_name("it holds a NUL");
  const std::string file = name + std::string(kSuffix);
  zip_source_t* const source = zip_source_function(zip, &Array::answer, &array);
  const zip_int64_t index =
      source == nullptr ? -1 : zip_file_add(zip, file.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    if (source != nullptr) zip_source_free(source);
    refuse_name(zip_strerror(zip));
  }
  const auto at = static_cast<zip_uint64_t>(index);
  if (zip_set_file_compression(zip, at, is_compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(zip, at, 0, kFirstDay, 0) != 0)
    refuse_writing(zip_strerror(zip));
}

}  // namespace

void write_npz(AtomicFile& file, std::span<const NpzArray> arrays, bool is_compressed,
               const std::function<std::span<const std::byte>(std::size_t)>& elements) {
  if (arrays.empty()) return file.write(kEmpty);
  if (arrays.size() > kMostNpzMembers)
    throw UnsupportedError(
        fmt::format("{} tensors, {} are the most", arrays.size(), kMostNpzMembers));
  Sink sink(file);
  std::vector<std::unique_ptr<Array>> sources;
  Error error;
  zip_source_t* const source = zip_source_function_create(&Sink::answer, &sink, &error);
  zip_t* const created =
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error);
  if (created == nullptr) {
    if (source != nullptr) zip_source_free(source);
    refuse_writing(zip_error_strerror(&error));
  }
  Zip zip(created);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    sources.push_back(prefixing_errors(
        [&] { return fmt::format("tensor {:?}: ", arrays[i].name); },
        [&] {
          return std::make_unique<Array>(arrays[i].type, [&elements, i] { return elements(i); });
        }));
    add(created, arrays[i].name, *sources.back(), is_compressed);
  }
  if (zip_close(created) == 0) {
    zip.release();
    return;
  }
  sink.rethrow();
  for (const auto& array : sources) array->rethrow();
  refuse_writing(zip_strerror(created));
}

}  // namespace mlxnx::files
