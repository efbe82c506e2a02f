#include "model/tokenizer/sentence_segmenter.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <vector>

#include "base/strings.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

// Written without the last point and in lower case, sorted by bytes.
constexpr std::string_view kEnglish[] = {
    "a.d",  "a.k.a", "a.m",  "adm",  "apr",  "approx", "assn", "aug", "ave",  "b.c",  "bldg",
    "blvd", "brig",  "bros", "c.f",  "ca",   "capt",   "cf",   "ch",  "cmdr", "co",   "col",
    "corp", "dec",   "dept", "dist", "dr",   "e.g",    "ed",   "eds", "eg",   "eq",   "esq",
    "est",  "etc",   "feb",  "fig",  "figs", "fr",     "ft",   "gen", "gov",  "hon",  "i.e",
    "ie",   "inc",   "jan",  "jr",   "jul",  "jun",    "lt",   "ltd", "maj",  "mar",  "messrs",
    "mr",   "mrs",   "ms",   "msgr", "mt",   "no",     "nos",  "nov", "oct",  "op",   "p.m",
    "ph.d", "pp",    "pres", "prof", "rep",  "rev",    "rt",   "sen", "sep",  "sept", "sgt",
    "sr",   "st",    "u.k",  "u.n",  "u.s",  "univ",   "viz",  "vol", "vols", "vs"};
constexpr std::string_view kGerman[] = {
    "a.d",   "a.d.h", "abb",  "abs",  "abt", "allg",  "anm",     "apr",  "art",  "aug",    "ausg",
    "b.a",   "bd",    "bde",  "betr", "bsp", "bspw",  "bzgl",    "bzw",  "ca",   "d.h",    "dec",
    "dez",   "dgl",   "dipl", "dr",   "dt",  "ebd",   "einschl", "engl", "etc",  "ev",     "evtl",
    "feb",   "ff",    "fr",   "frl",  "geb", "gem",   "gegr",    "gest", "ggf",  "griech", "hbf",
    "hl",    "hr",    "hrn",  "hrsg", "i.a", "i.d.r", "i.v",     "ing",  "inkl", "insb",   "jan",
    "jh",    "jhd",   "jr",   "jul",  "jun", "kap",   "kath",    "lat",  "lt",   "m.a",    "max",
    "med",   "min",   "mind", "mio",  "mrd", "mrz",   "n.chr",   "nov",  "nr",   "o.g",    "o.ä",
    "okt",   "phil",  "pkt",  "prof", "rd",  "röm",   "s.o",     "s.u",  "sen",  "sep",    "sept",
    "sog",   "st",    "std",  "str",  "tab", "tel",   "u.a",     "u.u",  "u.ä",  "usw",    "v.a",
    "v.chr", "vgl",   "vol",  "z.b",  "z.t", "z.zt",  "zzgl",    "zzt"};
constexpr std::string_view kFrench[] = {
    "adj",  "apr",  "art",  "av",   "avr",   "bd", "boul", "c.-à-d", "cf",  "chap", "dr",
    "déc",  "dép",  "ed",   "env",  "etc",   "ex", "fig",  "févr",   "hab", "inc",  "janv",
    "juil", "j.-c", "mgr",  "mlle", "mlles", "mm", "mme",  "mmes",   "mr",  "n.b",  "nov",
    "nº",   "n°",   "oct",  "p.-s", "p.ex",  "pp", "prof", "r.-v",   "réf", "sept", "sr",
    "st",   "ste",  "suiv", "tél",  "vol",   "vs", "éd"};
constexpr std::string_view kSpanish[] = {
    "a.c",  "a.m",  "abr",   "admón", "ago",  "apdo",  "art",   "arts",  "atte", "avda", "av",
    "cap",  "cf",   "cía",   "col",   "d.c",  "depto", "dic",   "dpto",  "dr",   "dra",  "dras",
    "dres", "ed",   "ee.uu", "ej",    "ene",  "etc",   "excmo", "feb",   "fig",  "gral", "hnos",
    "ilmo", "ing",  "jul",   "jun",   "lic",  "ltda",  "mar",   "máx",   "mín",  "mons", "nov",
    "núm",  "oct",  "op",    "p.ej",  "p.m",  "pp",    "prof",  "profa", "pza",  "pág",  "págs",
    "ref",  "sept", "sr",    "sra",   "sras", "sres",  "srta",  "sta",   "sto",  "tel",  "tfno",
    "ud",   "uds",  "vd",    "vds",   "vol",  "vs"};

template <size_t N>
bool Contains(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool IsAbbreviation(std::string_view word, std::string_view language) {
  const std::string_view primary = language.substr(0, 2);
  if (primary == "en") return Contains(kEnglish, word);
  if (primary == "de") return Contains(kGerman, word);
  if (primary == "fr") return Contains(kFrench, word);
  if (primary == "es") return Contains(kSpanish, word);
  return false;
}

bool IsEndMark(uint32_t c) {
  return c == '.' || c == '?' || c == '!' || c == 0x2026 ||  // …
         c == 0x3002 || c == 0xFF01 || c == 0xFF1F;          // 。！？
}

// Quotes and brackets that may stand before a word.
bool IsOpening(uint32_t c) {
  constexpr std::array<uint32_t, 19> kOpening = {
      '"',    '\'',   '(',    '[',    '{',    0xAB,   0xBB,   0x2018, 0x201A, 0x201C,
      0x201E, 0x2039, 0x203A, 0x300C, 0x300E, 0xFF08, 0x3010, 0xBF,   0xA1};
  return std::find(kOpening.begin(), kOpening.end(), c) != kOpening.end();
}

// Quotes and brackets that may follow an end mark. The German closing quotes are the English
// opening ones, and guillemets point both ways.
bool IsClosing(uint32_t c) {
  constexpr std::array<uint32_t, 17> kClosing = {'"',    '\'',   ')',    ']',    '}',    0xAB,
                                                 0xBB,   0x2018, 0x2019, 0x201C, 0x201D, 0x2039,
                                                 0x203A, 0x300D, 0x300F, 0xFF09, 0x3011};
  return std::find(kClosing.begin(), kClosing.end(), c) != kClosing.end();
}

std::vector<uint32_t> DecodeAll(std::string_view text) {
  std::vector<uint32_t> code_points;
  while (!text.empty()) {
    const size_t length = std::max<size_t>(1, Utf8SequenceLength(text));
    code_points.push_back(length == 1 ? static_cast<unsigned char>(text[0])
                                      : DecodeUtf8(text, length));
    text.remove_prefix(length);
  }
  return code_points;
}

// "3", "1,250", "24.12": the point behind it is an ordinal or part of a date.
bool IsNumber(std::span<const uint32_t> word) {
  bool digit = false;
  for (const uint32_t c : word) {
    if (c >= '0' && c <= '9') {
      digit = true;
    } else if (c != '.' && c != ',' && c != ':') {
      return false;
    }
  }
  return digit;
}

}  // namespace

bool EndsSentence(std::string_view word, std::string_view language) {
  const std::vector<uint32_t> characters = DecodeAll(word);
  std::span<const uint32_t> rest(characters);
  while (!rest.empty() && IsClosing(rest.back())) rest = rest.first(rest.size() - 1);
  if (rest.empty() || !IsEndMark(rest.back())) return false;
  if (rest.back() != '.') return true;
  rest = rest.first(rest.size() - 1);
  while (!rest.empty() && IsOpening(rest.front())) rest = rest.subspan(1);
  if (rest.size() == 1 && IsUnicodeLetter(rest[0])) return false;
  if (IsNumber(rest)) return false;
  std::string lower;
  for (const uint32_t c : rest) AppendUtf8(ToLowerCase(c), &lower);
  return !IsAbbreviation(lower, language);
}

SentenceSegmenter::SentenceSegmenter(std::string_view language, const SegmentRules& rules)
    : language_(language), rules_(rules) {}

WordCut SentenceSegmenter::Add(std::string_view word) {
  ++words_;
  WordCut cut = WordCut::kNone;
  if (rules_.automatic && EndsSentence(word, language_)) {
    cut = WordCut::kBoundary;
  } else if (rules_.automatic && words_ >= rules_.soft_words && !word.empty() &&
             (word.back() == ',' || word.back() == ';' || word.back() == ':')) {
    cut = WordCut::kLength;
  } else if (words_ >= rules_.hard_words) {
    cut = WordCut::kLength;
  }
  if (cut != WordCut::kNone) Restart();
  return cut;
}

}  // namespace dragoman::model
