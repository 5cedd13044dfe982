"""Texts of everyday traffic: what stands in them tells no rule from another.

Not traffic of anybody's: messages as browsers, servers and programs of the last twenty years write
them, of documentation names. A text that stands here leads to a rule only where there is no other.
"""

from __future__ import annotations

_BROWSER = (
    b"GET /images/logo.png?v=1.0&lang=en-US HTTP/1.1\r\nHost: www.example.org\r\n"
    b"Connection: keep-alive\r\nCache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n"
    b"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    b" Chrome/124.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;"
    b"q=0.9,image/webp,*/*;q=0.8\r\nReferer: https://www.example.com/index.html\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Cookie: sessionid=5f2b; user=name; PHPSESSID=01\r\nPragma: no-cache\r\n\r\n"
)
_FORM = (
    b"POST /cgi-bin/index.php?id=12&page=3&action=login HTTP/1.1\r\nHost: example.com:8080\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0\r\n"
    b"Accept: */*\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
    b"Content-Length: 38\r\nX-Requested-With: XMLHttpRequest\r\nOrigin: http://example.com\r\n"
    b"Connection: close\r\n\r\nuser=admin&username=test&password=1234&submit=Login"
)
_OLD = (
    b"GET http://example.net/default.asp?name=value;x HTTP/1.0\r\nAccept: image/gif, image/jpeg, "
    b"*/*\r\nAccept-Language: en-us\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT "
    b"5.1; SV1; .NET CLR 1.1.4322)\r\nHost: example.net\r\nIf-Modified-Since: Sat, 01 Jan 2005 "
    b'00:00:00 GMT\r\nIf-None-Match: "0-1"\r\nAuthorization: Basic dXNlcg==\r\n\r\n'
)
_UPLOAD = (
    b"POST /api/v1/upload.html HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/8.5.0\r\n"
    b"Accept: application/json, text/plain\r\nExpect: 100-continue\r\nContent-Type: "
    b"multipart/form-data; boundary=----WebKitFormBoundary7MA4\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n"
    b'------WebKitFormBoundary7MA4\r\nContent-Disposition: form-data; name="file"; filename="a.exe"'
    b'\r\nContent-Type: application/octet-stream\r\n\r\n{"id":1,"name":"x","data":"","cmd":""}'
)
_TOOL = (
    b"HEAD / HTTP/1.1\r\nHost: 192.0.2.80\r\nUser-Agent: Wget/1.21 (linux-gnu)\r\nAccept: */*\r\n"
    b"Accept-Encoding: identity\r\nConnection: Keep-Alive\r\n\r\n"
)
_PAGE = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 10:00:00 GMT\r\nServer: Apache/2.4.58 (Ubuntu)\r\n"
    b'Last-Modified: Mon, 01 Jan 2024 10:00:00 GMT\r\nETag: "1a-5b"\r\nAccept-Ranges: bytes\r\n'
    b"Set-Cookie: sessionid=5f2b; path=/; HttpOnly; Secure\r\nVary: Accept-Encoding\r\n"
    b"X-Powered-By: PHP/8.2\r\nExpires: Thu, 19 Nov 1981 08:52:00 GMT\r\nContent-Length: 900\r\n"
    b"Content-Type: text/html; charset=utf-8\r\nKeep-Alive: timeout=5, max=100\r\n\r\n"
    b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN">\n<html lang="en">\n<head>\n'
    b'<meta http-equiv="Content-Type" content="text/html">\n<title>Welcome to our home</title>\n'
    b'<link rel="stylesheet" type="text/css" href="/style.css">\n<script type="text/javascript" '
    b'src="/js/jquery.min.js"></script>\n<script>var a = new Array(); function f(x) { return '
    b"document.getElementById(x); } if (window.location) { }</script></head>\n<body>\n<form "
    b'action="/login.php" method="post"><input type="text" name="user"><input type="password" '
    b'name="password"><input type="hidden" value="1"></form><a href="http://www.example.net/">'
    b'</a><img src="a.gif" width="1" height="1"><div class="b" id="c">&nbsp;</div><iframe></iframe>'
    b"<br></body></html>\n"
)
_ANSWERS = (
    b"HTTP/1.1 404 Not Found\r\nServer: nginx/1.24.0\r\nContent-Type: application/json\r\n"
    b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1f4\r\n",
    b"HTTP/1.0 302 Found\r\nServer: Microsoft-IIS/10.0\r\nLocation: https://www.example.com/\r\n"
    b"Content-Length: 0\r\nCache-Control: no-cache, no-store, private\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
)
_NAMES = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01",
    b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01"
    b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01",
    b"\x56\x78\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x04mail\x07example\x03net\x00\x00\x1c\x00\x01"
    b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00",
)
_OTHERS = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x16\x03\x03\x00\x3d\x02\x00\x00\x39\x03\x03",
    b"\x17\x03\x03\x00\x40",
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n",
    b"220 mail.example.org ESMTP Postfix\r\n250-SIZE 10240000\r\nEHLO example.com\r\n"
    b'MAIL FROM:<user@example.com>\r\nRCPT TO:<a@example.org>\r\nDATA\r\nFrom: "A" <a@example.'
    b"org>\r\nTo: user@example.com\r\nSubject: Re: test\r\nMIME-Version: 1.0\r\nContent-Type: "
    b"text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n.\r\nQUIT\r\n",
    b"220 FTP server ready\r\nUSER anonymous\r\n331 Password required\r\nPASS a@\r\n"
    b"230 Login OK\r\nPORT 1\r\nRETR file.zip\r\nSTOR\r\nLIST\r\n226 Transfer complete\r\n",
    b"+OK POP3 ready\r\n* OK IMAP4rev1\r\na001 LOGIN user password\r\n",
    b"\x00\x00\x00\x85\xffSMB\x72\x00\x00\x00\x00\x18\x53\xc8",
    b"\x00" * 16,
    b".com .net .org .ru .info .exe .dll .zip .txt .jsp .aspx .xml .js ../ =\"' \r\n\t",
)
MESSAGES = (_BROWSER, _FORM, _OLD, _UPLOAD, _TOOL, _PAGE, *_ANSWERS, *_NAMES, *_OTHERS)
"""Payloads, each from its first byte."""
_TEXT = b"\n".join(MESSAGES).lower()


def stands_in_everyday(text: bytes) -> bool:
    """Whether a text, but for case, stands in some message of everyday."""
    return text.lower() in _TEXT
