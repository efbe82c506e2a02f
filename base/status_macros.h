// Early return on error. The macros evaluate their argument once.
#pragma once

#include <utility>

#include "base/status.h"

#define DRAGOMAN_CONCAT_INNER_(a, b) a##b
#define DRAGOMAN_CONCAT_(a, b) DRAGOMAN_CONCAT_INNER_(a, b)

// DRAGOMAN_RETURN_IF_ERROR(DoWork());
#define DRAGOMAN_RETURN_IF_ERROR(expr)                   \
  do {                                                   \
    ::absl::Status dragoman_status_ = (expr);            \
    if (!dragoman_status_.ok()) return dragoman_status_; \
  } while (false)

// DRAGOMAN_ASSIGN_OR_RETURN(auto value, MakeValue());
#define DRAGOMAN_ASSIGN_OR_RETURN(lhs, expr) \
  DRAGOMAN_ASSIGN_OR_RETURN_(DRAGOMAN_CONCAT_(dragoman_status_or_, __LINE__), lhs, expr)
// `tmp` and `lhs` are declarations and cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define DRAGOMAN_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  if (!tmp.ok()) return tmp.status();              \
  lhs = std::move(tmp).value()
// NOLINTEND(bugprone-macro-parentheses)
