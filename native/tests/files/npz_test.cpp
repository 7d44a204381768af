// Archives that nobody checked.
#include "files/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "refusal_of.h"
#include "zip_bytes.h"

namespace mlxnx::files {
namespace {

using namespace std::string_literals;
using fuzz::deflated;
using fuzz::ZipEntry;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string array_of(const std::string& elements) {
  return npy_header({DType::u8, {static_cast<std::int64_t>(elements.size())}}) + elements;
}

std::vector<std::string> names_of(const std::string& archive) {
  std::vector<std::string> names;
  const NpzReader reader(bytes_of(archive));
  for (const NpzMember& member : reader.members()) names.push_back(member.name);
  return names;
}

class Npz : public testing::Test {
 protected:
  void SetUp() override {
    try {
      names_of(fuzz::zip_of(std::vector<ZipEntry>{}));
    } catch (const UnsupportedError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  // The elements of all members, or why there are none.
  static std::string read(const std::string& archive) {
    std::string all;
    const std::string refused = refusal_of([&] {
      const NpzReader reader(bytes_of(archive));
      for (const NpzMember& member : reader.members()) {
        std::string elements(member.header.bytes, '?');
        reader.read(member, std::as_writable_bytes(std::span(elements)));
        all += member.name + "=" + elements + ";";
      }
    });
    return refused == "taken" ? all : refused;
  }
  static std::string read(const std::vector<ZipEntry>& entries) {
    return read(fuzz::zip_of(entries));
  }
};

TEST_F(Npz, ReadsMembersThatAreStoredOrDeflated) {
  ZipEntry large{"c.npy", array_of("three")};
  large.is_zip64 = true;
  EXPECT_EQ(read({{"a.npy", array_of("one")}, deflated("b.npy", array_of("two")), large}),
            "a=one;b=two;c=three;");
  EXPECT_EQ(read(std::vector<ZipEntry>{}), "");
  EXPECT_EQ(read({deflated("a.npy", array_of(std::string(200'000, 'x')))}),
            "a=" + std::string(200'000, 'x') + ";");
}

TEST_F(Npz, TakesNamesForNoPaths) {
  const std::vector<ZipEntry> entries = {
      {"../a.npy", array_of("1")}, {"/etc/b.npy", array_of("2")}, {"layers/0/w.npy", array_of("3")},
      {".npy", array_of("4")},     {"C:\\x.npy", array_of("5")},  {"%s%n.npy", array_of("6")}};
  EXPECT_THAT(names_of(fuzz::zip_of(entries)),
              ElementsAre("../a", "/etc/b", "layers/0/w", "", "C:\\x", "%s%n"));
  // A NUL ends no name.
  EXPECT_THAT(read({{"a.npy\0.exe"s, array_of("1")}}), HasSubstr("it is no .npy file"));
  EXPECT_THAT(names_of(fuzz::zip_of(std::vector<ZipEntry>{{"a\0b.npy"s, array_of("1")}})),
              ElementsAre(StartsWith("a")));
}

TEST_F(Npz, RefusesNamesThatStandTwice) {
  EXPECT_EQ(read({{"a.npy", array_of("1")}, {"a.npy", array_of("2")}}),
            "member \"a.npy\": its name stands twice");
}

TEST_F(Npz, RefusesMembersThatAreNoArrays) {
  EXPECT_EQ(read({{"a.npy", array_of("1")}, {"readme.txt", "hello"}}),
            "member \"readme.txt\": it is no .npy file");
  EXPECT_EQ(read({{"folder/", ""}}), "member \"folder/\": it is no .npy file");
  EXPECT_EQ(read({{"a.npy", "hello, here is no array"}}), "member \"a.npy\": it is no .npy file");
  EXPECT_EQ(read({{"a.npy", ""}}), "member \"a.npy\": it is no .npy file");
  EXPECT_THAT(read({{"a.npy", array_of("1").substr(0, 50)}}), HasSubstr("header is cut off"));
  std::string objects = array_of("1");
  objects.replace(objects.find("|u1"), 3, "|O ");
  EXPECT_THAT(read({{"a.npy", objects}}), HasSubstr("Python objects, which are never loaded"));
}

TEST_F(Npz, RefusesEncryptedMembersAndOtherMethods) {
  ZipEntry entry{"a.npy", array_of("1")};
  entry.flags = 1;
  EXPECT_EQ(read({entry}), "unsupported: member \"a.npy\": it is encrypted");
  entry.flags = 0;
  entry.method = 14;
  EXPECT_THAT(read({entry}), StartsWith("unsupported: member \"a.npy\": it is compressed by"));
}

TEST_F(Npz, RefusesSizesThatLie) {
  const std::string array = array_of("12345678");
  ZipEntry longer{"a.npy", array};
  longer.size += 1;
  EXPECT_THAT(read({longer}), HasSubstr("136 bytes can't become 137"));
  // The archive agrees with itself, and not with the array.
  EXPECT_THAT(read({{"a.npy", array + "9"}}), HasSubstr("more follows the 8 bytes of u8[8]"));
  EXPECT_THAT(read({{"a.npy", array.substr(0, 130)}}), HasSubstr("takes 8 bytes, it has 2"));
  for (const std::int64_t difference : {-1, 1, 100'000'000}) {
    ZipEntry packed = deflated("a.npy", array);
    packed.size = static_cast<std::uint64_t>(static_cast<std::int64_t>(packed.size) + difference);
    EXPECT_THAT(read({packed}), StartsWith("member \"a.npy\": ")) << difference;
  }
}

// As much as an array of a billion bytes takes when it is announced and not there.
TEST_F(Npz, TakesNoMemoryForWhatIsOnlyAnnounced) {
  const std::string header = npy_header({DType::u8, {1'000'000'000}});
  ZipEntry bomb = deflated("a.npy", header + "few");
  bomb.size = header.size() + 1'000'000'000;
  EXPECT_THAT(read({bomb}), HasSubstr("bytes can't become 1000000128"));
  ZipEntry stored{"a.npy", header + "few"};
  stored.size = stored.packed_size = header.size() + 1'000'000'000;
  EXPECT_THAT(read({stored}), HasSubstr("more than the file's"));
}

TEST_F(Npz, RefusesMembersThatShareBytes) {
  std::vector<ZipEntry> entries = {deflated("0.npy", array_of(std::string(10'000, 'x')))};
  for (int i = 1; i < 100; ++i) {
    entries.push_back(entries[0]);
    entries.back().name = std::to_string(i) + ".npy";
    entries.back().place = 0;
  }
  EXPECT_THAT(read(entries), HasSubstr("of others before it are more than the file's"));
}

TEST_F(Npz, RefusesElementsWithAnotherChecksum) {
  ZipEntry entry = deflated("a.npy", array_of("12345678"));
  entry.crc ^= 1;
  EXPECT_THAT(read({entry}), AllOf(StartsWith("member \"a.npy\": "), HasSubstr("CRC")));
  entry = {"a.npy", array_of("12345678")};
  entry.crc ^= 1;
  EXPECT_THAT(read({entry}), AllOf(StartsWith("member \"a.npy\": "), HasSubstr("CRC")));
}

TEST_F(Npz, RefusesArchivesThatAreCutShort) {
  const std::string archive = fuzz::zip_of(
      std::vector<ZipEntry>{{"a.npy", array_of("one")}, deflated("b.npy", array_of("two"))});
  for (std::size_t size = 0; size < archive.size(); ++size)
    EXPECT_THAT(read(archive.substr(0, size)), StartsWith("it is no zip archive: ")) << size;
  EXPECT_THAT(read(archive.substr(40)), testing::Ne("a=one;b=two;"));
}

TEST_F(Npz, RefusesNumbersOfMembersThatLie) {
  const std::vector<ZipEntry> entries = {{"a.npy", array_of("one")}};
  for (const std::uint64_t count :
       {std::uint64_t{2}, std::uint64_t{0xfffe}, std::uint64_t{0x10000}, std::uint64_t{1} << 32,
        std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    EXPECT_THAT(read(fuzz::zip_of(entries, count)), StartsWith("it is no zip archive: ")) << count;
  }
}

// Each of which would have the directory read once more.
TEST_F(Npz, RefusesArchivesOfManyEnds) {
  const std::string archive = fuzz::zip_of(std::vector<ZipEntry>(5'000, {"a.npy", ""}));
  const std::string end = archive.substr(archive.size() - 22);
  std::string many = archive.substr(0, archive.size() - 22);
  for (int i = 0; i < 2000; ++i) many += end.substr(0, 8) + "\1\0\1\0"s + end.substr(12);
  const std::clock_t start = std::clock();
  EXPECT_EQ(read(many), "it is no zip archive: it has more than 2 ends");
  EXPECT_LT(std::clock() - start, CLOCKS_PER_SEC);
  // What looks like one may stand among elements.
  EXPECT_EQ(read({{"a.npy", array_of("PK\5\6")}}), "a=PK\5\6;");
}

// Names whose hashes in libzip are the same, of which it compares each with each.
TEST_F(Npz, RefusesMembersWithoutEnd) {
  constexpr int kBits = 16;
  std::vector<ZipEntry> entries;
  for (int i = 0; i < 1 << kBits; ++i) {
    std::string name;
    for (int bit = 0; bit < kBits; ++bit) name += (i >> bit & 1) != 0 ? "Ez" : "FY";
    entries.push_back({std::move(name), ""});
  }
  const std::string archive = fuzz::zip_of(entries);
  const std::clock_t start = std::clock();
  EXPECT_EQ(read(archive), "more than 10000 members");
  EXPECT_LT(std::clock() - start, CLOCKS_PER_SEC);
  entries.resize(kMostNpzMembers);
  EXPECT_THAT(read(entries), HasSubstr("it is no .npy file"));
  AtomicFile file(std::filesystem::temp_directory_path() / "mlxnx_no_such_archive", "test");
  EXPECT_THROW(write_npz(file, std::vector<NpzArray>(kMostNpzMembers + 1), false, {}),
               UnsupportedError);
}

TEST_F(Npz, WritesWhatItReads) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("npz_" + std::to_string(::getpid()) + ".npz");
  const std::vector<NpzArray> arrays = {
      {"../a", {DType::u8, {3}}}, {"b", {DType::u8, {0}}}, {"\xc3\xbc", {DType::u8, {2}}}};
  const std::vector<std::string> elements = {"one", "", "42"};
  const auto written = [&](bool is_compressed) {
    AtomicFile file(path, "test");
    write_npz(file, arrays, is_compressed, [&](std::size_t i) { return bytes_of(elements[i]); });
    file.commit();
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  };
  const std::string stored = written(false);
  EXPECT_EQ(read(stored), "../a=one;b=;\xc3\xbc=42;");
  EXPECT_EQ(written(false), stored);
  EXPECT_EQ(read(written(true)), "../a=one;b=;\xc3\xbc=42;");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace mlxnx::files
