// numpy's files. What stands here in bytes is what numpy 2.4 wrote.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/literal.h"

namespace mlxnx {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// A file of version 1 as numpy writes it: `dictionary` padded to a multiple of 64 bytes in all.
std::string numpy_file(const std::string& dictionary, const std::string& elements,
                       std::size_t header_end = 128) {
  const std::size_t length = header_end - 10;
  std::string bytes = "\x93NUMPY\x01\x00"s;
  bytes += {static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return bytes + dictionary + std::string(length - dictionary.size() - 1, ' ') + "\n" + elements;
}

// One whose header is no more than `dictionary`, in a version whose length has `length_bytes`.
std::string short_file(const std::string& dictionary, const std::string& elements,
                       int version = 1) {
  std::string bytes = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  for (std::size_t i = 0; i < length_bytes; ++i)
    bytes += static_cast<char>((dictionary.size() >> (8 * i)) & 0xff);
  return bytes + dictionary + elements;
}

class Npy : public testing::Test {
 protected:
  ~Npy() override {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Tensor read(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    return load_npy(path_);
  }
  std::string written(const Tensor& tensor) {
    save_npy(path_, tensor);
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }
  // What the refusal says after the file's name.
  template <typename Error = FormatError>
  std::string refusal(const std::string& bytes) {
    const std::string prefix = "[npy] " + path_.string() + ": ";
    try {
      read(bytes);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), StartsWith(prefix));
      return std::string(error.what()).substr(prefix.size());
    }
    return "taken";
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("mlxnx_npy_" + std::to_string(::getpid()) + ".npy");
};

TEST_F(Npy, KeepsEveryTypeAndShape) {
  for (const DType type : kDTypes) {
    if (type == DType::bf16) continue;
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0}, Shape{0}, Shape{1, 2, 3}}) {
      const auto count = static_cast<std::size_t>(element_count(shape));
      const std::vector<std::byte> bytes(count * size_bytes(type), std::byte{0x3c});
      save_npy(path_, Tensor::from_bytes(bytes, {type, shape}));
      const Tensor again = load_npy(path_);
      EXPECT_EQ(again.type(), (TensorType{type, shape}));
      EXPECT_EQ(again.to_bytes(), bytes);
    }
  }
}

TEST_F(Npy, WritesWhatNumpyWrites) {
  EXPECT_EQ(written(tensor({1.0, 2.0})),
            numpy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
                       "\x00\x00\x80?\x00\x00\x00@"s));
  EXPECT_EQ(
      written(Tensor(7)),
      numpy_file("{'descr': '<i4', 'fortran_order': False, 'shape': (), }", "\x07\x00\x00\x00"s));
  EXPECT_EQ(written(tensor({{1, 2, 3}, {4, 5, 6}}, DType::u8)),
            numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }",
                       "\x01\x02\x03\x04\x05\x06"));
  EXPECT_EQ(written(Tensor::from_bytes({}, {DType::f64, {0, 3}})),
            numpy_file("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }", ""));
}

TEST_F(Npy, LeavesTheRoomForGrowthThatNumpyLeaves) {
  const std::string ones =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, "
      "1, 1, 1, 1, 1, 1, 1, 1), }";
  EXPECT_EQ(written(Tensor::from_bytes(std::vector(1, std::byte{5}), {DType::u8, Shape(15, 1)})),
            numpy_file(ones, "\x05", 192));
}

TEST_F(Npy, ReadsColumnMajorOrder) {
  const Tensor matrix = read(numpy_file(
      "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", "\x00\x03\x01\x04\x02\x05"s));
  EXPECT_EQ(matrix.type(), (TensorType{DType::u8, {2, 3}}));
  EXPECT_THAT(matrix.to_vector<std::uint8_t>(), ElementsAre(0, 1, 2, 3, 4, 5));
  const std::string cube = "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 2), }";
  EXPECT_THAT(read(numpy_file(cube, "\x00\x02\x01\x03"s)).to_vector<std::uint8_t>(),
              ElementsAre(0, 1, 2, 3));
}

TEST_F(Npy, ReadsBigEndianNumbersAndBools) {
  EXPECT_THAT(read(numpy_file("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }",
                              "\x00\x01\x01\x02"s))
                  .to_vector<std::int16_t>(),
              ElementsAre(1, 258));
  EXPECT_THAT(read(numpy_file("{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }",
                              "?\x80\x00\x00@\x00\x00\x00"s))
                  .to_vector<std::complex<float>>(),
              ElementsAre(std::complex<float>(1, 2)));
  const Tensor bools = read(
      numpy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\x01\x00\x7f"s));
  EXPECT_THAT(bools.to_vector<std::uint8_t>(), ElementsAre(1, 0, 1));
}

TEST_F(Npy, ReadsEveryVersionAndSpelling) {
  const std::string bare = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }";
  for (const int version : {1, 2, 3})
    EXPECT_THAT(read(short_file(bare, "\x05", version)).to_vector<std::uint8_t>(), ElementsAre(5));
  for (const char* header :
       {"{\"shape\":(1,),\"descr\":\"=u1\",\"fortran_order\":False}",
        "  {'fortran_order' : True , 'shape' : ( 1 , ) , 'descr' : '<u1' } \n\n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1L,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (), }"})
    EXPECT_EQ(read(short_file(header, "\x05")).item<int>(), 5) << header;
}

struct Malformed {
  std::string bytes;
  const char* why;
};

TEST_F(Npy, RefusesMalformedFiles) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
  ASSERT_EQ(refusal(short_file(good, "abcd")), "taken");
  const Malformed files[] = {
      {"", "it is no .npy file"},
      {"\x93NUM", "it is no .npy file"},
      {"nonsense of some length", "it is no .npy file"},
      {"\x93NUMPY", "it is no .npy file"},
      {"\x93NUMPY\x01\x00"s, "cut off"},
      {"\x93NUMPY\x01\x00\x05"s, "cut off"},
      {"\x93NUMPY\x04\x00\x05\x00"s, "version 4.0 of the format is not known"},
      {"\x93NUMPY\x00\x00\x05\x00"s, "version 0.0"},
      {"\x93NUMPY\x01\x07\x05\x00"s, "version 1.7"},
      {"\x93NUMPY\x02\x00\xff\xff\xff\xff{"s, "a header of 4294967295 bytes"},
      {short_file(good, "abcd").substr(0, 40), "cut off"},
      {short_file(good, "abc"), "f32[1] takes 4 bytes, it has 3"},
      {short_file(good, ""), "f32[1] takes 4 bytes, it has 0"},
      {short_file(good, "abcde"), "more follows the 4 bytes of f32[1]"},
  };
  for (const Malformed& file : files) EXPECT_THAT(refusal(file.bytes), HasSubstr(file.why));
}

TEST_F(Npy, RefusesMalformedHeaders) {
  const std::string rest = "'fortran_order': False, 'shape': (1,), }";
  const Malformed headers[] = {
      {"", "lacks a '{'"},
      {"{", "no text where one belongs"},
      {"{'descr", "has no end"},
      {"{'descr'", "lacks a ':'"},
      {"{'descr': '", "has no end"},
      {"{'descr': 7, " + rest, "no text where one belongs"},
      {"{'descr': '', " + rest, "no element type"},
      {"{'descr': 'f4', " + rest, "\"f4\" is no element type"},
      {"{'descr': '|O', " + rest, "Python objects, which are never loaded"},
      {"{" + rest, "lacks descr, fortran_order or shape"},
      {"{}", "lacks descr, fortran_order or shape"},
      {"{'descr': '<f4', 'descr': '<f4', " + rest, "has \"descr\" twice"},
      {"{'descr': '<f4', 'more': '', " + rest, "has \"more\" besides"},
      {"{'descr': '<f4', 'a\x1b[31m': '', " + rest, "has \"a\\x1b[31m\" besides"},
      {"{'descr': '<f4', " + rest + " x", "goes on after the dictionary"},
      {"{'descr': '<f4', " + rest + "\0"s, "goes on after the dictionary"},
      {"{'descr': '<f4' " + rest, "is no dictionary"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "neither True nor False"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': 1}", "its shape is no tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", "its shape is no tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "its shape is no tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", "its shape is no tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "not a count"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}", "its shape is no tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "not a count"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (((((1,),),),),)}", "not a count"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "not a count"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
       "more elements than can be counted"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (2147483647, 2147483647)}",
       "more bytes than can be counted"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 1000)}",
       "takes 8589934588000 bytes, it has 4"},
  };
  for (const Malformed& header : headers)
    EXPECT_THAT(refusal(short_file(header.bytes, "abcd")), HasSubstr(header.why)) << header.bytes;
  std::string many = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < 10'000; ++i) many += "1,";
  EXPECT_THAT(refusal(short_file(many + ")}", "abcd")), HasSubstr("more than 64 dimensions"));
  const std::string deep = "{'descr': " + std::string(50'000, '[');
  EXPECT_THAT(refusal<UnsupportedError>(short_file(deep, "")), HasSubstr("structured"));
}

TEST_F(Npy, TellsMalformedFilesFromTypesThatMlxLacks) {
  for (const char* type : {"<c16", "<f16", "<U5", "|S3", "|V2", "<M8[s]", "|x"}) {
    const std::string header =
        "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (1,), }";
    EXPECT_THAT(refusal<UnsupportedError>(short_file(header, "abcd")),
                HasSubstr("numpy's type \"" + std::string(type) + "\" are not supported"));
  }
  EXPECT_THAT(refusal<UnsupportedError>(short_file(
                  "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "abcd")),
              HasSubstr("structured elements are not supported"));
}

TEST_F(Npy, RefusesWhatItCanNotHold) {
  EXPECT_THROW(save_npy(path_, Tensor(Number(1.0), DType::bf16)), UnsupportedError);
  const Tensor deep = Tensor::from_bytes(std::vector(1, std::byte{5}), {DType::u8, Shape(65, 1)});
  EXPECT_THROW(save_npy(path_, deep), UnsupportedError);
}

std::string refusal_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "taken";
}

TEST_F(Npy, SaysWhyAFileCanNotBeReadOrWritten) {
  EXPECT_EQ(refusal_of([] { load_npy("/no/such/file.npy"); }),
            "[npy] /no/such/file.npy can't be read: No such file or directory");
  EXPECT_EQ(refusal_of([] { load_npy("/tmp"); }), "[npy] /tmp can't be read: it is a folder");
  EXPECT_EQ(refusal_of([] { save_npy("/no/such/file.npy", Tensor(1)); }),
            "[npy] /no/such/file.npy can't be written: No such file or directory");
#ifdef __linux__
  EXPECT_EQ(refusal_of([] { save_npy("/dev/full", Tensor(1)); }),
            "[npy] /dev/full can't be written: No space left on device");
#endif
}

TEST_F(Npy, ReadsNoMoreOfADeviceThanItsHeaderAnnounces) {
  EXPECT_THROW(load_npy("/dev/zero"), FormatError);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const auto read_from_pipe = [&](const std::string& shape, const std::string& elements) {
    std::thread writer([&] {
      std::ofstream(path_, std::ios::binary) << short_file(
          "{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + "}", elements);
    });
    std::string answer;
    try {
      answer = to_string(load_npy(path_).type());
    } catch (const FormatError& error) {
      answer = error.what();
    }
    writer.join();
    return answer;
  };
  EXPECT_EQ(read_from_pipe("(3,)", "abc"), "u8[3]");
  // Takes memory for what comes, not for what was announced.
  EXPECT_THAT(read_from_pipe("(1000000, 1000000)", "abc"),
              HasSubstr("takes 1000000000000 bytes, it has 3"));
}

}  // namespace
}  // namespace mlxnx
