#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"

namespace mlxnx {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing_support::error_of;

const json kMessages = {{{"role", "system"}, {"content", "Be brief."}},
                        {{"role", "user"}, {"content", "Hi 😀"}},
                        {{"role", "assistant"}, {"content", "Hello"}}};

std::string rendered(const std::string& source, json variables = json::object()) {
  if (!variables.contains("messages")) variables["messages"] = kMessages;
  return ChatTemplate(source).render(variables.dump(), {.clock = "2026-03-05T14:07:09"}).text;
}

std::string refusal(const std::string& source, const json& variables = json::object()) {
  return error_of<ArgumentError>([&] { rendered(source, variables); });
}

TEST(TextChat, WritesTheMessagesInTurn) {
  EXPECT_EQ(rendered("{% for m in messages %}<|{{ m.role }}|>{{ m['content'] }}\n{% endfor %}"
                     "{% if add_generation_prompt %}<|assistant|>{% endif %}",
                     {{"add_generation_prompt", true}}),
            "<|system|>Be brief.\n<|user|>Hi 😀\n<|assistant|>Hello\n<|assistant|>");
}

TEST(TextChat, TrimsBlocksAndTheSpacesBeforeThem) {
  EXPECT_EQ(rendered("  {% if true %}\nx\n  {% endif %}\ny {{- 'z' }}\n"), "x\nyz");
}

TEST(TextChat, HasToolsAndDocumentsThatAreNone) {
  EXPECT_EQ(rendered("{{ tools is none }} {{ documents is defined }} {{ other is defined }}"),
            "True True False");
}

TEST(TextChat, GivesReasoningUnderEachOfItsNames) {
  const json messages = {{{"role", "assistant"}, {"content", "x"}, {"reasoning", "why"}}};
  EXPECT_EQ(rendered("{{ messages[0].thinking }} {{ messages[0].reasoning_content }}",
                     {{"messages", messages}}),
            "why why");
}

TEST(TextChat, ShowsValuesAsPythonDoes) {
  EXPECT_EQ(
      rendered("{{ [1, 'a', none, true, 1.0, {'k': \"it's\"}] }} {{ (1,) }} {{ 1e-7 }} {{ 1e16 }}"),
      "[1, 'a', None, True, 1.0, {'k': \"it's\"}] (1,) 1e-07 1e+16");
  EXPECT_EQ(rendered("{{ '%s is %d' % ('x', 3) }} {{ 'a' ~ 1 ~ none }} {{ '%.1f' % 2.55 }}"),
            "x is 3 a1None 2.5");
}

TEST(TextChat, WritesJson) {
  const json data = {{"b", {1, 2.0, nullptr}}, {"a", "<é>"}};
  EXPECT_EQ(rendered("{{ data | tojson(sort_keys=true) }}", {{"data", data}}),
            R"({"a": "<é>", "b": [1, 2.0, null]})");
  EXPECT_EQ(rendered("{{ data.b | tojson(indent=2) }}", {{"data", data}}),
            "[\n  1,\n  2.0,\n  null\n]");
  EXPECT_EQ(rendered("{{ data.a | tojson(ensure_ascii=true) }}", {{"data", data}}),
            "\"<\\u00e9>\"");
  EXPECT_EQ(rendered("{{ {'x': [1, 2]} | tojson(separators=(',', ':')) }}"), R"({"x":[1,2]})");
}

TEST(TextChat, HasTheMethodsOfPythonsTexts) {
  EXPECT_EQ(
      rendered("{{ 'a</think>b'.split('</think>')[-1] }} {{ ' x '.strip() }} "
               "{{ 'abc'.startswith('ab') }} {{ 'a-b'.partition('-') }} {{ 'x'.center(5, '*') }} "
               "{{ 'abcabc'.rfind('b') }} {{ 'ab'.removeprefix('a') }}"),
      "b x True ('a', '-', 'b') **x** 4 b");
}

TEST(TextChat, LeavesLoopsAndSkipsRounds) {
  EXPECT_EQ(rendered("{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}"
                     "{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}"),
            "0134");
}

TEST(TextChat, TellsTheTimeThatItIsGiven) {
  EXPECT_EQ(rendered("{{ strftime_now('%d %b %Y, %A %H:%M %j') }}"),
            "05 Mar 2026, Thursday 14:07 064");
  EXPECT_EQ(ChatTemplate("{{ strftime_now('%Y') }}").render("{}").text.size(), 4u);
  EXPECT_THAT(error_of<ArgumentError>(
                  [] { ChatTemplate("x").render("{}", {.clock = "2026-02-30T00:00:00"}); }),
              HasSubstr("2026-02-30"));
}

TEST(TextChat, TellsWhatTheModelIsToWrite) {
  const ChatTemplate chat(
      "{% for m in messages %}{% if m.role == 'assistant' %}<a>{% generation %}{{ m.content }}."
      "{% endgeneration %}</a>{% else %}é{{ m.content }}{% endif %}{% endfor %}");
  const json messages = {{{"role", "user"}, {"content", "x"}},
                         {{"role", "assistant"}, {"content", "ü"}},
                         {{"role", "assistant"}, {"content", ""}}};
  const RenderedChat chatted = chat.render(json{{"messages", messages}}.dump());
  EXPECT_EQ(chatted.text, "éx<a>ü.</a><a>.</a>");
  EXPECT_THAT(chatted.generated, ElementsAre(std::pair(6u, 9u), std::pair(16u, 17u)));
  EXPECT_EQ(rendered("{# {% generation %} #}{{ '{% generation %}' }}{% raw %}{% generation %}"
                     "{% endraw %}"),
            "{% generation %}{% generation %}");
}

TEST(TextChat, ContinuesTheLastMessage) {
  const std::string source = "{% for m in messages %}<{{ m.content | trim }}>{% endfor %}";
  json variables = {{"continue_final_message", true}, {"messages", kMessages}};
  EXPECT_EQ(rendered(source, variables), "<Be brief.><Hi 😀><Hello");
  variables["messages"][2]["content"] = "Hello  ";
  EXPECT_EQ(rendered(source, variables), "<Be brief.><Hi 😀><Hello");
  EXPECT_THAT(refusal("{{ messages[0].content }}", variables), HasSubstr("last message"));
  variables["messages"] = json::array();
  EXPECT_THAT(refusal(source, variables), HasSubstr("no text to continue"));
}

TEST(TextChat, ATemplatesOwnErrorIsItsText) {
  EXPECT_EQ(refusal("{{ raise_exception('Roles must alternate, not ' + messages[0].role) }}"),
            "[chat_template] Roles must alternate, not system");
}

TEST(TextChat, WhatIsWrongIsToldWithTheLine) {
  EXPECT_THAT(refusal("a\nb {{ 'x' + 1 }}"),
              AllOf(StartsWith("[chat_template] "), HasSubstr("line 2")));
  EXPECT_THAT(error_of<ArgumentError>([] { ChatTemplate("{% for m in x %}"); }),
              HasSubstr("line 1"));
  EXPECT_THAT(refusal("{{ x | frobnicate }}"), HasSubstr("frobnicate"));
  EXPECT_THAT(refusal("{{ nope.x }}"), HasSubstr("undefined"));
  EXPECT_THAT(refusal("{% for x in none %}{% endfor %}"), HasSubstr("not iterable"));
  EXPECT_THAT(refusal("{{ messages.append(1) }}"), HasSubstr("append"));
  EXPECT_THAT(error_of<ArgumentError>([] { ChatTemplate("x").render("[1]"); }),
              HasSubstr("no JSON object"));
  EXPECT_THAT(error_of<ArgumentError>([] { ChatTemplate("x").render("{"); }), HasSubstr("no JSON"));
}

TEST(TextChat, ServesManyThreadsAtOnce) {
  const ChatTemplate chat(
      "{% set ns = namespace(n=0) %}{% for i in range(50) %}{% set ns.n = ns.n + i %}{% endfor "
      "%}{{ ns.n }}");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) count += chat.render("{}").text == "1225" ? 0 : 1;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

}  // namespace
}  // namespace mlxnx
