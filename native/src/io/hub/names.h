// The shapes of what names something on a hub and in its cache. Whoever made them up, none may lead
// out of a folder, change a URL or play tricks on a terminal.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mlxnx::hub {

/// Opens the errors' texts.
inline constexpr std::string_view kOp = "hub";

/// Throws: ArgumentError unless `repo` is `name` or `owner/name`.
void check_repo(std::string_view repo);

/// Throws: ArgumentError unless `revision` may be a branch, a tag or a commit.
void check_revision(std::string_view revision);

/// Why `name` is no path of a file within a repository; empty when it is one.
std::string wrong_with_file_name(std::string_view name);

/// Whether `text` is the id of a commit or a blob in git.
bool is_git_id(std::string_view text);

/// Whether `text` is a SHA-256 as LFS writes it.
bool is_sha256(std::string_view text);

/// Whether a blob may be called so in the cache: a checksum, or what another server has as an etag.
bool is_blob_name(std::string_view text);

/// Whether a pattern of a shell fits `name`; `*` fits slashes as well, and a pattern that ends with
/// a slash all that lies below.
bool matches(const std::string& name, std::span<const std::string> patterns);

/// `text` as a part of a URL's path; with `keeps_slashes`, as several.
std::string url_encoded(std::string_view text, bool keeps_slashes);

}  // namespace mlxnx::hub
