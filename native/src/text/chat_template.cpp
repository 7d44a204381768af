#include <array>
#include <ctime>

#include "mlxnx/text.h"
#include "text/library.h"

namespace mlxnx {

using text::raw;
using text::span_of;

namespace {

constexpr std::string_view kChatTemplateOp = "chat_template";

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::array<char, 32> written{};
  const std::size_t length =
      std::strftime(written.data(), written.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return {written.data(), length};
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source)
    : handle_(text::shared<text::TemplateHandle>(
          kChatTemplateOp, mlxnx_text_template_free, [&](auto out, auto error) {
            return mlxnx_text_template_new(span_of(source), out, error);
          })) {}

RenderedChat ChatTemplate::render(std::string_view variables, const RenderOptions& options) const {
  const std::string clock = options.clock.empty() ? local_time() : options.clock;
  mlxnx_text_bytes text{};
  mlxnx_text_numbers generated{};
  text::call(kChatTemplateOp, [&](mlxnx_text_bytes* error) {
    return mlxnx_text_template_render(raw(handle_.get()), span_of(variables), span_of(clock), &text,
                                      &generated, error);
  });
  RenderedChat rendered;
  rendered.text = text::take(text);
  rendered.generated = text::take_ranges(generated);
  return rendered;
}

}  // namespace mlxnx
