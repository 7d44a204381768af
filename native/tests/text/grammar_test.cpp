#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;
using testing_support::byte_level_json;
using testing_support::error_of;
using testing_support::kEnd;
using testing_support::kHello;

class TextGrammar : public testing::Test {
 protected:
  /// How many tokens of the text the grammar takes, and whether it may end there.
  std::pair<std::size_t, bool> taken(const Grammar& grammar, const std::string& text) const {
    GrammarMatcher matcher(grammar);
    const auto ids = tokenizer_.encode(text, {.add_special = false});
    const std::size_t count = matcher.count_accepted(ids);
    for (std::size_t i = 0; i < count; ++i) matcher.accept(ids[i]);
    return {count, matcher.is_accepting()};
  }
  bool takes(const Grammar& grammar, const std::string& text) const {
    return taken(grammar, text) ==
           std::pair(tokenizer_.encode(text, {.add_special = false}).size(), true);
  }

  Tokenizer tokenizer_ = Tokenizer::from_json(byte_level_json().dump());
  std::vector<std::uint32_t> ends_ = {kEnd};
};

TEST_F(TextGrammar, RegularExpressionsSayWhichTokensMayCome) {
  const Grammar grammar = Grammar::regex(tokenizer_, ends_, "hello( wo)?!");
  GrammarMatcher matcher(grammar);
  TokenMask mask = matcher.mask();
  EXPECT_TRUE(mask.allows('h'));
  EXPECT_TRUE(mask.allows(256));
  EXPECT_TRUE(mask.allows(kHello));
  EXPECT_FALSE(mask.allows('e'));
  EXPECT_FALSE(mask.allows(261));
  EXPECT_FALSE(mask.allows(kEnd));
  EXPECT_FALSE(mask.allows(263));
  EXPECT_FALSE(mask.allows(4294967295U));
  matcher.accept(kHello);
  mask = matcher.mask();
  EXPECT_TRUE(mask.allows(' '));
  EXPECT_TRUE(mask.allows(261));
  EXPECT_TRUE(mask.allows('!'));
  EXPECT_FALSE(matcher.is_accepting());
  matcher.accept('!');
  EXPECT_TRUE(matcher.is_accepting());
  mask = matcher.mask();
  EXPECT_TRUE(mask.allows(kEnd));
  EXPECT_FALSE(mask.allows('!'));
}

TEST_F(TextGrammar, JsonSchemasAreKept) {
  const Grammar grammar = Grammar::json_schema(tokenizer_, ends_, R"({
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"], "additionalProperties": false,
    "$defs": {"age": {"type": "integer", "minimum": 0, "maximum": 150}}})");
  EXPECT_TRUE(takes(grammar, R"({"name": "hello", "age": 42})"));
  EXPECT_TRUE(takes(grammar, R"({"name": "é😀"})"));
  EXPECT_FALSE(takes(grammar, R"({"name": 1})"));
  EXPECT_FALSE(takes(grammar, R"({"name": "x", "age": 151})"));
  EXPECT_FALSE(takes(grammar, R"({"age": 1})"));
  EXPECT_FALSE(takes(grammar, R"({"name": "x", "other": 1})"));
}

TEST_F(TextGrammar, LarkGrammarsAreKept) {
  const Grammar grammar =
      Grammar::lark(tokenizer_, ends_, "start: \"(\" start \")\" | WORD\nWORD: /[a-z]+/");
  EXPECT_TRUE(takes(grammar, "((hello))"));
  EXPECT_FALSE(takes(grammar, "((hello)"));
  EXPECT_EQ(taken(grammar, "(hello))").first, 3u);
}

TEST_F(TextGrammar, ATextGoesBackAndIsCopied) {
  const Grammar grammar = Grammar::regex(tokenizer_, ends_, "(ab)+");
  GrammarMatcher matcher(grammar);
  matcher.accept('a');
  GrammarMatcher copy = matcher;
  matcher.accept('b');
  matcher.rollback(2);
  EXPECT_TRUE(matcher.mask().allows('a'));
  EXPECT_FALSE(matcher.mask().allows('b'));
  EXPECT_TRUE(copy.mask().allows('b'));
  copy = matcher;
  EXPECT_TRUE(copy.mask().allows('a'));
}

TEST_F(TextGrammar, ATokenThatMayNotComeChangesNothing) {
  GrammarMatcher matcher(Grammar::regex(tokenizer_, ends_, "ab"));
  for (const std::uint32_t wrong : {std::uint32_t{'b'}, kEnd, 263U, 4294967295U})
    EXPECT_THAT(error_of<ArgumentError>([&] { matcher.accept(wrong); }),
                HasSubstr(std::to_string(wrong)));
  matcher.accept('a');
  matcher.accept('b');
  matcher.accept(kEnd);
  EXPECT_TRUE(matcher.is_stopped());
  EXPECT_TRUE(matcher.mask().allows(kEnd));
  EXPECT_FALSE(matcher.mask().allows('a'));
  EXPECT_THROW(matcher.accept('a'), ArgumentError);
}

TEST_F(TextGrammar, AnEndIsTakenBackToo) {
  for (const char* pattern : {"ab", "ab+"}) {
    GrammarMatcher matcher(Grammar::regex(tokenizer_, ends_, pattern));
    for (const std::uint32_t token : {std::uint32_t{'a'}, std::uint32_t{'b'}, kEnd})
      matcher.accept(token);
    EXPECT_TRUE(matcher.is_stopped()) << pattern;
    matcher.rollback(2);
    EXPECT_TRUE(matcher.mask().allows('b')) << pattern;
    EXPECT_FALSE(matcher.mask().allows(kEnd)) << pattern;
    EXPECT_THAT(error_of<ArgumentError>([&] { matcher.rollback(2); }), HasSubstr("there are 1"));
    EXPECT_TRUE(matcher.mask().allows('b'));
  }
}

TEST_F(TextGrammar, SaysWhatIsWrongWithAGrammar) {
  EXPECT_THROW(Grammar::regex(tokenizer_, ends_, "a("), ArgumentError);
  EXPECT_THROW(Grammar::lark(tokenizer_, ends_, "begin: \"x\""), ArgumentError);
  EXPECT_THAT(error_of<ArgumentError>([&] { Grammar::json_schema(tokenizer_, ends_, "{"); }),
              HasSubstr("no JSON"));
  EXPECT_THROW(Grammar::json_schema(tokenizer_, ends_, R"({"type": "nonsense"})"), ArgumentError);
  EXPECT_THAT(error_of<ArgumentError>([&] { Grammar::regex(tokenizer_, {}, "a"); }),
              HasSubstr("needs a token"));
  const std::vector<std::uint32_t> wrong = {300};
  EXPECT_THAT(error_of<ArgumentError>([&] { Grammar::regex(tokenizer_, wrong, "a"); }),
              HasSubstr("300"));
}

TEST_F(TextGrammar, GrammarsThatExplodeEnd) {
  for (const char* schema :
       {R"({"$ref": "#"})",
        R"({"type": "array", "minItems": 100000000, "items": {"type": "integer"}})",
        R"({"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"})",
        R"({"type": "string", "minLength": 1000000000})"}) {
    try {
      GrammarMatcher matcher(Grammar::json_schema(tokenizer_, ends_, schema));
      matcher.mask();
    } catch (const ArgumentError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("[grammar] "));
    }
  }
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"not\":";
  EXPECT_THROW(Grammar::json_schema(tokenizer_, ends_, deep), ArgumentError);
  EXPECT_THROW(Grammar::regex(tokenizer_, ends_, std::string(100000, '(')), ArgumentError);
  EXPECT_THROW(Grammar::lark(tokenizer_, ends_, "start: " + std::string(100000, '(')),
               ArgumentError);
}

}  // namespace
}  // namespace mlxnx
