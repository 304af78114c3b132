/* dsvl2: jsonline writes what a JSON parser reads back
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jsonline.h"
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

static void
test_strings (void)
{
  static const struct {
    const char *value, *written;
  } cases[] = {
    { "", "\"\"" },
    { NULL, "\"\"" },
    { "a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\"" },
    { "two\nlines\t\x01\x7f", "\"two\\nlines\\u0009\\u0001\\u007f\"" },
    { "汽车 🚗 <b>&", "\"汽车 🚗 <b>&\"" },
    { "cut \xe6\xb1 off \xff", "\"cut \xef\xbf\xbd\xef\xbf\xbd off \xef\xbf\xbd\"" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) line = g_string_new (NULL);

    json_line_string (line, NULL, cases[i].value);
    g_test_message ("%s", line->str);
    g_assert_cmpstr (line->str, ==, cases[i].written);
  }
}

static void
test_numbers (void)
{
  static const struct {
    double value;
    int decimals;
    const char *written;
  } cases[] = {
    { 0, 4, "0" },
    { 0.1f, 4, "0.1" },
    { 0.99996, 4, "1" },
    { 100, 1, "100" },
    { -2.5, 3, "-2.5" },
    { 1234567.8904, 3, "1234567.89" },
    { NAN, 4, "null" },
    { -INFINITY, 4, "null" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) line = g_string_new (NULL);

    json_line_number (line, NULL, cases[i].value, cases[i].decimals);
    g_test_message ("%g: %s", cases[i].value, line->str);
    g_assert_cmpstr (line->str, ==, cases[i].written);
  }
}

/* The largest number there is, nesting, and commas where they belong. */
static void
test_line (void)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;
  JsonObject *object;

  json_line_open (line, NULL, '{');
  json_line_int (line, "least", G_MININT64);
  json_line_open (line, "list", '[');
  json_line_open (line, NULL, '{');
  json_line_close (line, '}');
  json_line_number (line, NULL, 1.7976931348623157e308, 15);
  json_line_string (line, NULL, "{");
  json_line_string (line, NULL, "[");
  json_line_close (line, ']');
  json_line_open (line, "empty", '[');
  json_line_close (line, ']');
  json_line_string (line, "a \"name\"", "value");
  json_line_boolean (line, "yes", TRUE);
  json_line_boolean (line, "no", FALSE);
  json_line_null (line, "nothing");
  json_line_close (line, '}');

  root = json_from_string (line->str, &error);
  g_assert_no_error (error);
  object = json_node_get_object (root);
  g_assert_cmpint (json_object_get_int_member (object, "least"), ==, G_MININT64);
  g_assert_cmpint (json_array_get_length (json_object_get_array_member (object, "list")), ==, 4);
  g_assert_cmpint (json_array_get_length (json_object_get_array_member (object, "empty")), ==, 0);
  g_assert_cmpstr (json_object_get_string_member (object, "a \"name\""), ==, "value");
  g_assert_true (json_object_get_boolean_member (object, "yes"));
  g_assert_false (json_object_get_boolean_member (object, "no"));
  g_assert_true (json_object_get_null_member (object, "nothing"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/jsonline/strings", test_strings);
  g_test_add_func ("/jsonline/numbers", test_numbers);
  g_test_add_func ("/jsonline/line", test_line);
  return g_test_run ();
}
