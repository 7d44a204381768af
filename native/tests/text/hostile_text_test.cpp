// Files and templates made to break who reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>
#include <random>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_support::byte_fallback_pieces;
using testing_support::byte_level_json;
using testing_support::error_of;
using testing_support::sentencepiece_model;

/// Reads and, where it can be read, uses it; whatever is wrong is one of our exceptions.
void try_out(const std::function<Tokenizer()>& read) {
  try {
    const Tokenizer tokenizer = read();
    const auto ids = tokenizer.encode("hello wo <|end|> é😀\n  ab");
    tokenizer.decode(ids);
    testing_support::streamed(tokenizer, ids);
  } catch (const FormatError&) {
  } catch (const ArgumentError&) {
  } catch (const UnsupportedError&) {
  }
}

void on_small_stack(std::function<void()> f) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 << 10);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* work) -> void* {
                  (*static_cast<std::function<void()>*>(work))();
                  return nullptr;
                },
                &f),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(TextHostile, ATokenizerCutShortIsRefused) {
  const std::string whole = byte_level_json().dump();
  for (std::size_t size = 0; size < whole.size(); size += 97)
    EXPECT_THROW(Tokenizer::from_json(whole.substr(0, size)), FormatError) << size;
  const std::string model = sentencepiece_model(byte_fallback_pieces(), 2);
  for (std::size_t size = 0; size < model.size(); size += 61)
    try_out([&] { return Tokenizer::from_sentencepiece(model.substr(0, size)); });
  EXPECT_THROW(Tokenizer::from_sentencepiece(""), FormatError);
  EXPECT_THROW(Tokenizer::from_sentencepiece("not a protocol buffer"), FormatError);
}

TEST(TextHostile, ChangedFilesAreReadOrRefused) {
  std::mt19937 random(1);
  const std::string files[] = {byte_level_json().dump(),
                               sentencepiece_model(byte_fallback_pieces(), 1)};
  for (int round = 0; round < 200; ++round) {
    std::string changed = files[round % 2];
    for (int i = 0; i < 4; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    if (round % 2 == 0)
      try_out([&] { return Tokenizer::from_json(changed); });
    else
      try_out([&] { return Tokenizer::from_sentencepiece(changed); });
  }
}

TEST(TextHostile, DeepNestingIsRefused) {
  on_small_stack([] {
    EXPECT_THROW(Tokenizer::from_json(std::string(1000000, '[')), FormatError);
    json normalizer = {{"type", "Lowercase"}};
    for (int i = 0; i < 40; ++i) normalizer = {{"type", "Sequence"}, {"normalizers", {normalizer}}};
    json deep = byte_level_json();
    deep["normalizer"] = normalizer;
    try_out([&] { return Tokenizer::from_json(deep.dump()); });
  });
}

TEST(TextHostile, HugeNumbersOfTokensAreRefused) {
  json huge = byte_level_json();
  huge["model"]["vocab"]["far"] = 4000000000U;
  EXPECT_THAT(error_of<FormatError>([&] { Tokenizer::from_json(huge.dump()); }),
              HasSubstr("4000000000"));
}

TEST(TextHostile, PartsThatAreNotThereAreErrors) {
  const auto with = [](auto change) {
    json changed = byte_level_json();
    change(changed);
    try_out([&] { return Tokenizer::from_json(changed.dump()); });
  };
  with([](json& j) { j["post_processor"]["special_tokens"] = json::object(); });
  with([](json& j) { j["model"]["continuing_subword_prefix"] = "éééééééé"; });
  with([](json& j) { j["model"]["merges"].push_back({"q", "q"}); });
  with([](json& j) { j["added_tokens"][0]["content"] = ""; });
  with([](json& j) {
    j["decoder"] = {{"type", "Strip"}, {"content", " "}, {"start", 0}, {"stop", 9}};
  });
  with([](json& j) {
    j["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "/////w=="}};
  });
  with([](json& j) {
    j["pre_tokenizer"] = {{"type", "Split"},
                          {"pattern", {{"Regex", "(a+)+$"}}},
                          {"behavior", "Isolated"},
                          {"invert", false}};
  });
  with([](json& j) { j["pre_tokenizer"]["type"] = "Nonsense"; });
}

TEST(TextHostile, APanicOfTheLibraryIsAnError) {
  json without = byte_level_json();
  without["post_processor"]["special_tokens"] = json::object();
  const auto encode = [&] { Tokenizer::from_json(without.dump()).encode("hello"); };
  try {
    encode();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("["));
  }
}

TEST(TextHostile, TemplatesThatLoopEnd) {
  for (const char* source :
       {"{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(90000) %}{% set ns.s = ns.s + ns.s %}{% "
        "endfor %}",
        "{{ range(1000000000) | list | length }}", "{{ 'x' * 1000000000 }}",
        "{{ 'x'.center(100000000000) }}", "{{ '%999999999d' % 1 }}",
        "{{ ('x' * 1000000).replace('x', 'y' * 100000) | length }}",
        "{{ (range(1000) | list) * 1000000 }}", "{{ 10 ** 100000 }}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% set l = [1] %}{% for i in range(60) %}{% set l = [l, l] %}{% endfor %}{{ l | tojson "
        "}}"}) {
    on_small_stack([&] {
      try {
        const auto chat = ChatTemplate(source).render("{}");
        EXPECT_LT(chat.text.size(), 200'000'000u) << source;
      } catch (const ArgumentError&) {
      }
    });
  }
}

TEST(TextHostile, DeepTemplatesEnd) {
  const auto repeated = [](const char* text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  on_small_stack([&] {
    for (const std::string& source :
         {"{{ " + repeated("(", 100000) + " }}", "{{ " + repeated("[", 100000) + " }}",
          "{{ " + repeated("not ", 100000) + "x }}", "{{ " + repeated("-", 100000) + "1 }}",
          "{{ 1" + repeated(" + 1", 20000) + " }}", "{{ x" + repeated(".y", 20000) + " }}",
          "{{ x" + repeated("|upper", 20000) + " }}", repeated("{% if x %}", 20000),
          "{{ " + repeated("1 if x else ", 20000) + " 1 }}",
          "{{ '%s'" + repeated(" % '%s'", 2000) + " }}", "{% for x in " + repeated("(", 1000),
          std::string("{{ '"), std::string("{%"), std::string("{% raw %}"), std::string("{#")}) {
      try {
        ChatTemplate(source).render("{}");
      } catch (const ArgumentError&) {
      }
    }
  });
}

TEST(TextHostile, DeepVariablesAreRefused) {
  const std::string deep(100000, '[');
  on_small_stack(
      [&] { EXPECT_THROW(ChatTemplate("{{ x }}").render("{\"x\": " + deep), ArgumentError); });
}

}  // namespace
}  // namespace mlxnx
